# The only rule that reads the true labels.


def job_of(wildcards):
    folder = RUN.format(**wildcards)
    return next(
        job for job in JOBS.values() if any(folder == str(r.folder(RESULTS)) for r in job.runs)
    )


rule evaluate:
    input:
        trained=lambda wildcards: str(job_of(wildcards).folder(RESULTS)),
        observed=rules.split.output,
        train=f"{DATA}/train.npz",
        test=f"{DATA}/test.npz",
    output:
        expand(f"{RUN}/{{file}}", file=(*TRAIN_FILES, *EVALUATION_FILES), allow_missing=True),
    log:
        f"{RESULTS}/logs/evaluate/{{dataset}}/{{method}}-known-{{ratio}}-seed-{{seed}}.log",
    conda:
        ENVIRONMENT
    params:
        folder=RUN,
        resamples=EXPERIMENT.report.resamples,
        code=code_digest("satl.evaluation.evaluate"),
    shell:
        "{SATL} evaluate {input.trained}/{wildcards.method}/known-{wildcards.ratio}"
        " --observed {input.observed} --train {input.train} --test {input.test}"
        " --resamples {params.resamples} --out {params.folder} > {log} 2>&1"
