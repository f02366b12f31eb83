# From images and annotations to label tables and partial-label splits.


def dataset_of(wildcards):
    return EXPERIMENT.datasets[wildcards.dataset]


def of_format(*formats):
    """Pattern of the names of data sets of these formats, for wildcard_constraints."""
    datasets = EXPERIMENT.datasets.items()
    names = [re.escape(name) for name, dataset in datasets if dataset.format in formats]
    return "|".join(names) or "(?!)"  # without any, matches nothing


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
    input:
        CHECKED,
    output:
        directory(f"{DATA}/glyphs"),
    params:
        dataset=lambda wildcards: dataset_of(wildcards).model_dump(),
        code=code_digest("satl.data.glyphs.dataset"),
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
        CHECKED,
    output:
        f"{DATA}/{{part}}-annotated.npz",
    params:
        annotations=annotations,
        images=images,
        unannotated=lambda wildcards: dataset_of(wildcards).unannotated,
        crowds=lambda wildcards: dataset_of(wildcards).crowds,
        expected=count_option,
        code=code_digest("satl.data.coco"),
    wildcard_constraints:
        dataset=of_format("coco", "glyphs"),
    log:
        f"{RESULTS}/logs/table/{{dataset}}-{{part}}.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} table {params.annotations:q} --images {params.images:q} {params.expected}"
        " --unannotated {params.unannotated} --crowds {params.crowds}"
        " --out {output} > {log} 2>&1"


# Only with this key are images kept decoded; without it, their size is no matter of this rule.
ON_DISK = EXPERIMENT.training.image_cache == "disk"
SIDES = {"train": EXPERIMENT.training.resize, "test": EXPERIMENT.training.image_size}


# Of wildcards alone: what depends on `output` does not count when Snakemake compares params.
def pixels_option(wildcards):
    if not ON_DISK:
        return ""
    file = f"{DATA}/{{part}}.pixels".format(**wildcards)
    return f"--side {SIDES[wildcards.part]} --pixels-out {shlex.quote(file)}"


rule images:
    input:
        f"{DATA}/{{part}}-annotated.npz",
    output:
        table=f"{DATA}/{{part}}.npz",
        images=f"{DATA}/{{part}}-images.npz",
        **({"pixels": f"{DATA}/{{part}}.pixels"} if ON_DISK else {}),
    params:
        # What is drawn here can be read.
        unreadable=lambda wildcards: getattr(dataset_of(wildcards), "unreadable", "stop"),
        pixels=pixels_option,
        code=code_digest("satl.data.images.prepare"),
    threads: 16
    priority: 1  # what is wrong with an image is said before the backbone is pre-trained
    log:
        f"{RESULTS}/logs/images/{{dataset}}-{{part}}.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} images {input} --unreadable {params.unreadable} --workers {threads}"
        " {params.pixels} --images-out {output.images} --out {output.table} > {log} 2>&1"


rule split:
    input:
        f"{DATA}/train.npz",
    output:
        f"{DATA}/known-{{ratio}}/seed-{{seed}}.npz",
    params:
        code=code_digest("satl.data.splits"),
    log:
        f"{RESULTS}/logs/split/{{dataset}}-known-{{ratio}}-seed-{{seed}}.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} split {input} --known-ratio {wildcards.ratio} --seed {wildcards.seed}"
        " --out {output} > {log} 2>&1"
