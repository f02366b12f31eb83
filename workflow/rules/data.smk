# From images and annotations to label tables and partial-label splits.


def dataset_of(wildcards):
    return EXPERIMENT.datasets[wildcards.dataset]


def format_code(wildcards):
    """Digest of the code that reads the data set: an edit to one format leaves the others alone."""
    return code_digest(type(dataset_of(wildcards)).__module__)


def waited_for(paths):
    """Configured paths as inputs of a job: files, and the receipts of what is downloaded.

    A folder that the user provides is none: its time of change says nothing about its images.
    """
    return [
        file
        for path in paths
        for file in downloads(path) or ([] if Path(path).is_dir() else [path])
    ]


def prepared_folder(wildcards):
    if not dataset_of(wildcards).prepares():
        return []
    return rules.prepare.output[0].format(**wildcards)


def training_table(wildcards):
    """Beside the test table: the one that it must share its categories with."""
    if wildcards.part == "train":
        return []
    return f"{DATA}/train-annotated.npz".format(**wildcards)


rule prepare:
    input:
        lambda wildcards: waited_for(dataset_of(wildcards).prepare_inputs()),
        CHECKED,
    output:
        directory(f"{DATA}/prepared"),
    log:
        f"{RESULTS}/logs/prepare/{{dataset}}.log",
    priority: 1
    conda:
        ENVIRONMENT
    params:
        dataset=lambda wildcards: dataset_of(wildcards).table_settings(),
        code=format_code,
    shell:
        "{SATL} prepare --config {CONFIG} --dataset {wildcards.dataset} --out {output}"
        " > {log} 2>&1"


rule table:
    input:
        lambda wildcards: waited_for(dataset_of(wildcards).inputs(wildcards.part)),
        CHECKED,
        prepared=prepared_folder,
        train=training_table,
    output:
        f"{DATA}/{{part}}-annotated.npz",
    log:
        f"{RESULTS}/logs/table/{{dataset}}-{{part}}.log",
    wildcard_constraints:
        part="train|test",
    priority: 1
    conda:
        ENVIRONMENT
    params:
        prepared=lambda wildcards, input: f"--prepared {input.prepared}" if input.prepared else "",
        train=lambda wildcards, input: f"--same-categories-as {input.train}" if input.train else "",
        dataset=lambda wildcards: dataset_of(wildcards).table_settings(),
        code=format_code,
    shell:
        "{SATL} table --config {CONFIG} --dataset {wildcards.dataset} --part {wildcards.part}"
        " {params.prepared} {params.train} --out {output} > {log} 2>&1"


rule holdout:
    input:
        f"{DATA}/train-annotated.npz",
    output:
        kept=f"{DATA}/train-kept.npz",
        held_out=f"{DATA}/validation-annotated.npz",
    log:
        f"{RESULTS}/logs/holdout/{{dataset}}.log",
    conda:
        ENVIRONMENT
    params:
        share=EXPERIMENT.validation,
        code=code_digest("satl.data.holdout"),
    shell:
        "{SATL} holdout {input} --share {params.share} --held-out {output.held_out}"
        " --out {output.kept} > {log} 2>&1"


def annotated_part(wildcards):
    """The table of a part of the data set, before its images are looked at."""
    kept = EXPERIMENT.validation and wildcards.part == "train"
    return f"{DATA}/{{part}}-{'kept' if kept else 'annotated'}.npz".format(**wildcards)


# Only with this key are images kept decoded; without it, their size is no matter of this rule.
ON_DISK = EXPERIMENT.training.image_cache == "disk"
SIDES = {
    part: EXPERIMENT.training.resize if part == "train" else EXPERIMENT.training.image_size
    for part in EXPERIMENT.parts
}


# Of wildcards alone: what depends on `output` does not count when Snakemake compares params.
def pixels_option(wildcards):
    if not ON_DISK:
        return ""
    file = f"{DATA}/{{part}}-pixels.npy".format(**wildcards)
    return f"--side {SIDES[wildcards.part]} --pixels-out {shlex.quote(file)}"


rule images:
    input:
        annotated_part,
    output:
        [f"{DATA}/{{part}}-pixels.npy", f"{DATA}/{{part}}-pixels.json"] if ON_DISK else [],
        table=f"{DATA}/{{part}}.npz",
        images=f"{DATA}/{{part}}-images.npz",
    log:
        f"{RESULTS}/logs/images/{{dataset}}-{{part}}.log",
    priority: 1  # what is wrong with an image is said before anything is computed from images
    conda:
        ENVIRONMENT
    threads: 16
    params:
        unreadable=lambda wildcards: dataset_of(wildcards).unreadable,
        pixels=pixels_option,
        code=code_digest("satl.data.images.prepare"),
    shell:
        "{SATL} images {input} --unreadable {params.unreadable} --workers {threads}"
        " {params.pixels} --images-out {output.images} --out {output.table} > {log} 2>&1"


def observe_inputs(wildcards):
    return EXPERIMENT.observation(KNOWN[wildcards.ratio]).inputs()


def split_options(wildcards):
    known = KNOWN[wildcards.ratio]
    if not isinstance(known, str):
        return f"--known-ratio {wildcards.ratio} --seed {EXPERIMENT.mask_seed}"
    settings = EXPERIMENT.observation(known).model_dump(mode="json")
    return f"--observe {shlex.quote(json.dumps({known: settings}))}"


rule split:
    input:
        observe_inputs,
        table=f"{DATA}/train.npz",
    output:
        f"{DATA}/{KNOWN_PART}.npz",
    log:
        f"{RESULTS}/logs/split/{{dataset}}-{KNOWN_PART}.log",
    conda:
        ENVIRONMENT
    params:
        options=split_options,
        code=lambda wildcards: code_digest(
            "satl.data.splits", type(EXPERIMENT.observation(KNOWN[wildcards.ratio])).__module__
        ),
    shell:
        "{SATL} split {input.table} {params.options} --out {output} > {log} 2>&1"


# The images held out keep as few of their labels as those in training.
use rule split as split_held_out with:
    input:
        observe_inputs,
        table=f"{DATA}/validation.npz",
    output:
        f"{DATA}/validation-{KNOWN_PART}.npz",
    log:
        f"{RESULTS}/logs/split/{{dataset}}-validation-{KNOWN_PART}.log",
