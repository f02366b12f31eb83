from snakemake.utils import min_version

min_version("9.17")  # a function as priority

# Not merged with the user's --configfile: what that file leaves out has its own defaults.
if not workflow.overwrite_configfiles:

    configfile: f"{workflow.basedir}/workflow/config/demo.yaml"


include: "workflow/rules/common.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/summary.csv",
        f"{RESULTS}/mlflow.json",


include: "workflow/rules/check.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
