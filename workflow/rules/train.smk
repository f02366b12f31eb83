# From splits to trained runs, `runs_per_job` of them per job. Training gets no ground truth,
# neither of training nor of test images.


def backbone_inputs():
    """The file that the weights come from; none where they are made here or installed along."""
    path = weights_path(EXPERIMENT) or EXPERIMENT.model.weights
    return [] if path in ("glyphs", "random", "imagenet") else file_or_download(path)


rule backbone:
    input:
        backbone_inputs(),
        CHECKED,
    output:
        f"{RESULTS}/backbone.pt",
    log:
        f"{RESULTS}/logs/backbone.log",
    conda:
        ENVIRONMENT
    threads: EXPERIMENT.pretraining.threads
    resources:
        gpu=GPUS,
    params:
        model=EXPERIMENT.model.model_dump(include={"backbone", "weights"}),
        pretraining=(
            EXPERIMENT.pretraining.model_dump() if EXPERIMENT.model.weights == "glyphs" else None
        ),
        code=code_digest("satl.models.backbone", "satl.models.packaged", "satl.training.pretrain"),
        device=EXPERIMENT.device,
    shell:
        "{SATL} backbone --config {CONFIG} --device {params.device} --out {output} > {log} 2>&1"


# With this key the features of the frozen stages are computed once, not in each training job.
CACHED = EXPERIMENT.training.cached_views is not None
FEATURE_SETTINGS = {
    "model": {"backbone", "frozen"},
    "training": {"cached_views", "resize", "image_size", "crop_scales", "flip", "precision"},
}
STRONG_SETTINGS = {
    **FEATURE_SETTINGS,
    "training": FEATURE_SETTINGS["training"] - {"cached_views"} | {"cached_strong_views"},
}
STRONG = CACHED and EXPERIMENT.training.cached_strong_views is not None


rule features:
    input:
        images=f"{DATA}/{{part}}-images.npz",
        pixels=f"{DATA}/{{part}}-pixels.npy" if ON_DISK else [],
        weights=rules.backbone.output,
    output:
        maps=f"{DATA}/{{part}}-features.npy",
        description=f"{DATA}/{{part}}-features.json",
    log:
        f"{RESULTS}/logs/features/{{dataset}}-{{part}}.log",
    conda:
        ENVIRONMENT
    threads: EXPERIMENT.training.threads
    resources:
        gpu=GPUS,
    params:
        pixels=lambda wildcards, input: f"--pixels {input.pixels}" if input.pixels else "",
        settings=EXPERIMENT.model_dump(include=FEATURE_SETTINGS),
        code=code_digest("satl.training.cache_features"),
        device=EXPERIMENT.device,
    shell:
        "{SATL} features {input.images} --config {CONFIG} --part {wildcards.part} {params.pixels}"
        " --weights {input.weights} --device {params.device} --out {output.maps} > {log} 2>&1"


use rule features as strong_features with:
    input:
        images=f"{DATA}/train-images.npz",
        pixels=f"{DATA}/train-pixels.npy" if ON_DISK else [],
        weights=rules.backbone.output,
    output:
        maps=f"{DATA}/{{part}}-features.npy",
        description=f"{DATA}/{{part}}-features.json",
    wildcard_constraints:
        part="strong",
    params:
        pixels=lambda wildcards, input: f"--pixels {input.pixels}" if input.pixels else "",
        settings=EXPERIMENT.model_dump(include=STRONG_SETTINGS),
        code=code_digest("satl.training.cache_features"),
        device=EXPERIMENT.device,


TRAINING = f"{RESULTS}/training/{JOB_PATH}"


def runs_of(wildcards):
    return JOBS[TRAINING.format(**wildcards)].runs


def split_of(run, rule=rules.split):
    """The labels that a run sees: those that it trains on, or those held out of training."""
    return rule.output[0].format(dataset=run.dataset, ratio=satl.config.ratio_name(run.known_ratio))


def held_out_split_of(run):
    """The known labels of the images held out of training, if there are any."""
    return split_of(run, rules.split_held_out) if EXPERIMENT.validation else None


# Weights that are kept come with thresholds, and from an epoch, which these labels choose.
KEPT = EXPERIMENT.training.keep_weights
HELD_OUT_SEEN = bool(KEPT and EXPERIMENT.validation)


def held_out_labels(wildcards):
    """The tables of known labels of held-out images, one for each run of a training job."""
    return [held_out_split_of(run) for run in runs_of(wildcards)] if HELD_OUT_SEEN else []


def held_out_labels_option(wildcards):
    files = held_out_labels(wildcards)
    return shlex.join(["--validation-labels", *files]) if files else ""


def run_options(wildcards):
    """`--run METHOD OBSERVED OUT` for each run of a training job."""
    job = JOBS[TRAINING.format(**wildcards)]
    return " ".join(
        shlex.join(["--run", run.method, split_of(run), str(job.run_folder(RESULTS, run))])
        for run in job.runs
    )


def priority_of(wildcards):
    """Long jobs first, lest one is left for the end, alone. Below 1: data are looked at before."""
    cost = sum(OPTIONS[run.method].get("relative_cost", 1) for run in runs_of(wildcards))
    return cost / (1 + cost)


def fingerprints_of(wildcards):
    """What decides, beside the input files, whether the runs of a job are up to date."""
    job = JOBS[TRAINING.format(**wildcards)]
    return {str(run): name_of_settings(run, job.run_folder(RESULTS, run)) for run in job.runs}


def name_of_settings(run, folder):
    """A name for the settings and the code of a run; that of its record where this still holds."""
    entry = EXPERIMENT.trained[run.method]
    asked = flatten(
        settings(
            training_code(method_module(entry.method)),
            entry.method,
            OPTIONS[run.method]["options"],
            EXPERIMENT.model,
            EXPERIMENT.training_of(run.method),
            known_settings(
                run.known_ratio, EXPERIMENT.observation(run.known_ratio).model_dump(mode="json")
            ),
            run.seed,
            EXPERIMENT.validation,
        )
    )
    recorded = flatten(recorded_fingerprint(folder) or {})
    if recorded and not differences(recorded, asked):
        # A setting that is newer than the record has its default, and does not count.
        asked = {key: value for key, value in asked.items() if key in recorded}
    return name_of(asked)


def image_inputs(kind):
    """Decoded images (pixels) or feature maps of all parts, where the protocol has them on disk."""
    made = {"pixels": ON_DISK and not CACHED, "features": CACHED}[kind]
    return [f"{DATA}/{part}-{kind}.npy" for part in EXPERIMENT.parts] if made else []


def image_options(wildcards, input):
    """Where the images of all parts lie, or what is kept of them."""
    options = [
        f"--{part}-{kind} {shlex.quote(file)}"
        for kind in ("pixels", "features")
        for part, file in zip(EXPERIMENT.parts, input[kind])
    ]
    options += [f"--strong-features {shlex.quote(file)}" for file in input.strong]
    return options + [
        f"--{part}-images {shlex.quote(file)}"
        for part, file in zip(EXPERIMENT.parts[1:], input.images)
    ]


rule train:
    input:
        observed=lambda wildcards: [split_of(run) for run in runs_of(wildcards)],
        images=[f"{DATA}/{part}-images.npz" for part in EXPERIMENT.parts[1:]],
        pixels=image_inputs("pixels"),
        features=image_inputs("features"),
        strong=[f"{DATA}/strong-features.npy"] if STRONG else [],
        held_out=held_out_labels,
        weights=rules.backbone.output,
        words=(
            rules.embeddings.output
            if vectors_path(EXPERIMENT)
            else EXPERIMENT.model.word_vectors or []
        ),
    output:
        directory(TRAINING),
    log:
        f"{RESULTS}/logs/train/{JOB_PATH}.log",
    priority: priority_of
    conda:
        ENVIRONMENT
    threads: EXPERIMENT.training.threads
    resources:
        gpu=GPUS,
    params:
        runs=run_options,
        # Outside of the outputs, which Snakemake deletes: see satl/runs/store.py.
        store=f"{RESULTS}/trained",
        device=EXPERIMENT.device,
        words=lambda wildcards, input: f"--embeddings {input.words}" if input.words else "",
        images=image_options,
        held_out=held_out_labels_option,
        kept=KEPT,  # not in the fingerprints: no number depends on it
        fingerprints=fingerprints_of,
        versions=library_versions(),
    shell:
        "{SATL} train --config {CONFIG} --dataset {wildcards.dataset} --seed {wildcards.seed}"
        " {params.runs} {params.images} {params.held_out}"
        " {params.words} --weights {input.weights} --device {params.device}"
        " --store {params.store} > {log} 2>&1"
