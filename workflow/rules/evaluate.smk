# The only rule that reads the true labels.


rule evaluate:
    input:
        run=rules.train.output,
        observed=rules.split.output,
        train=f"{DATA}/train.npz",
        test=f"{DATA}/test.npz",
    output:
        expand(f"{RUN}/{{file}}", file=EVALUATION_FILES, allow_missing=True),
    params:
        folder=RUN,
        code=code_hash("satl.evaluate"),
    log:
        f"{RESULTS}/logs/evaluate/{{dataset}}/{{method}}-known-{{ratio}}-seed-{{seed}}.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} evaluate {params.folder} --observed {input.observed} --train {input.train}"
        " --test {input.test} > {log} 2>&1"
