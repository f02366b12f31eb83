# From run folders to summary, tables, figures and page, and to MLflow.


# What code_digest cannot follow: the page's scripts and styles.
PAGE_FILES = sorted(Path(workflow.basedir, "satl/report/page/static").iterdir())


rule report:
    input:
        runs=expand("{run}/metrics.json", run=RUNS),
        published=[d.published for d in EXPERIMENT.datasets.values() if d.published],
    output:
        f"{RESULTS}/summary.csv",
        report(
            expand(f"{RESULTS}/tables/{{table}}.html", table=list(TABLES)),
            caption="../report/table.rst",
            category="Tables",
        ),
        expand(
            f"{RESULTS}/tables/{{table}}.{{format}}",
            table=list(TABLES),
            format=("md", "tex", "csv"),
        ),
        expand(f"{RESULTS}/tables/{{table}}-differences.csv", table=list(TABLES)),
        report(
            directory(f"{RESULTS}/figures"),
            patterns=["{name}.png"],
            caption="../report/figure.rst",
            category="Figures",
        ),
        report(
            f"{RESULTS}/index.html",
            caption="../report/page.rst",
            category="Page",
        ),
    log:
        f"{RESULTS}/logs/report.log",
    conda:
        ENVIRONMENT
    params:
        experiment=EXPERIMENT.source(),
        tables=TABLES,
        code=code_digest("satl.report"),
        page=digest([file.read_text(encoding="utf-8") for file in PAGE_FILES]),
    shell:
        "{SATL} report --config {CONFIG} > {log} 2>&1"


# Here, as the follower is, even on a cluster: SQLite does not bear writers on two machines.
localrules:
    track,


rule track:
    input:
        report=rules.report.output,
    output:
        f"{RESULTS}/mlflow.json",
    log:
        f"{RESULTS}/logs/track.log",
    conda:
        ENVIRONMENT
    params:
        code=code_digest("satl.tracking.mlflow.tracking"),
    shell:
        "{SATL} track --config {CONFIG} > {output} 2> {log}"
