# From images and annotations to label tables and partial-label splits.


def dataset_of(wildcards):
    return EXPERIMENT.datasets[wildcards.dataset]


def is_drawn(wildcards):
    return isinstance(dataset_of(wildcards), satl.config.GlyphsDataset)


def drawn(wildcards):
    return f"{DATA}/glyphs".format(dataset=wildcards.dataset)


def annotations(wildcards):
    if is_drawn(wildcards):
        return f"{drawn(wildcards)}/instances_{wildcards.part}.json"
    return getattr(dataset_of(wildcards), wildcards.part).annotations


def images(wildcards):
    if is_drawn(wildcards):
        return f"{drawn(wildcards)}/{wildcards.part}"
    return getattr(dataset_of(wildcards), wildcards.part).images


def expected_images(wildcards):
    if is_drawn(wildcards):
        return getattr(dataset_of(wildcards), f"{wildcards.part}_images")
    return getattr(dataset_of(wildcards), wildcards.part).expected_images


def count_option(wildcards):
    count = expected_images(wildcards)
    return f"--expected-images {count}" if count else ""


def table_inputs(wildcards):
    if is_drawn(wildcards):
        return drawn(wildcards)
    return file_or_download(annotations(wildcards)) + downloads(images(wildcards))


rule glyphs:
    output:
        directory(f"{DATA}/glyphs"),
    params:
        dataset=lambda wildcards: dataset_of(wildcards).model_dump(),
        code=code_hash("satl.data.glyphs"),
    log:
        f"{RESULTS}/logs/glyphs/{{dataset}}.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} glyphs --config {CONFIG} --dataset {wildcards.dataset} --out {output}"
        " > {log} 2>&1"


rule table:
    input:
        table_inputs,
    output:
        table=f"{DATA}/{{part}}.npz",
        images=f"{DATA}/{{part}}-images.npz",
    params:
        annotations=annotations,
        images=images,
        unannotated=lambda wildcards: dataset_of(wildcards).unannotated,
        crowds=lambda wildcards: dataset_of(wildcards).crowds,
        expected=count_option,
        code=code_hash("satl.data.coco"),
    log:
        f"{RESULTS}/logs/table/{{dataset}}-{{part}}.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} table {params.annotations:q} --images {params.images:q} {params.expected}"
        " --unannotated {params.unannotated} --crowds {params.crowds}"
        " --images-out {output.images} --out {output.table} > {log} 2>&1"


rule split:
    input:
        f"{DATA}/train.npz",
    output:
        f"{DATA}/known-{{ratio}}/seed-{{seed}}.npz",
    params:
        code=code_hash("satl.data.splits"),
    log:
        f"{RESULTS}/logs/split/{{dataset}}-known-{{ratio}}-seed-{{seed}}.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} split {input} --known-ratio {wildcards.ratio} --seed {wildcards.seed}"
        " --out {output} > {log} 2>&1"
