# The options of methods, checked by the methods' own classes before anything runs. These need
# torch, which is not imported here: `satl check` runs beside, once for each state of the code.
import importlib.util
import os
import subprocess

import yaml

from satl.core.files import digest

# What decides whether options are valid, and what their defaults are.
OPTIONS_CODE = ("baselines", "satl/methods", "satl/models", "satl/config", "satl/cli", "satl/core")
OPTIONS_FILES = ("satl/losses.py", "satl/thresholds.py", "satl/threshold_rules.py")


def options_state():
    """A name for all that the result of `satl check` depends on."""
    root = Path(workflow.basedir)
    files = [file for folder in OPTIONS_CODE for file in sorted((root / folder).rglob("*.py"))]
    files += [root / name for name in OPTIONS_FILES]
    source = EXPERIMENT.source()
    code = [[str(f.relative_to(root)), f.read_text(encoding="utf-8")] for f in files]
    return digest([source["methods"], source["tune"], source["model"], source["training"], code])


def checked_options():
    """Method and options, defaults filled in, of each variant; stops with what is wrong in them."""
    folder = Path(".snakemake/satl")
    known = folder / f"options-{options_state()}.json"
    if not known.is_file():
        asked = folder / f"config-{os.getpid()}.yaml"
        write_text(asked, yaml.safe_dump(EXPERIMENT.source(), allow_unicode=True))
        command = [sys.executable, "-m", "satl", "check", "--config", asked, "--out", known]
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": str(workflow.basedir)},
            capture_output=True,
            text=True,
        )
        asked.unlink()
        if done.returncode:
            said = done.stderr.strip().removeprefix("satl check: error: ")
            raise WorkflowError(said.replace(str(asked), CONFIG_FILES))
    return json.loads(known.read_text(encoding="utf-8"))


if importlib.util.find_spec("torch"):
    OPTIONS = checked_options()
    CHECKED = []
else:
    # With --use-conda only the rules' environment has torch: the check is then the first job, and
    # options are given here without their defaults. `ancient`: it does not make data again.
    OPTIONS = {name: entry.model_dump() for name, entry in EXPERIMENT.trained.items()}
    CHECKED = [ancient(f"{RESULTS}/options.json")]


rule check:
    output:
        f"{RESULTS}/options.json",
    log:
        f"{RESULTS}/logs/check.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        state=options_state(),
    shell:
        "{SATL} check --config {CONFIG} --out {output} > {log} 2>&1"
