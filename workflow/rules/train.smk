# From splits to trained runs, `runs_per_job` of them per job. Training gets no true labels, neither of training nor test images.


def backbone_inputs():
    if EXPERIMENT.model.weights in ("glyphs", "random"):
        return []
    return file_or_download(weights_path(EXPERIMENT) or EXPERIMENT.model.weights)


rule backbone:
    input:
        backbone_inputs(),
        CHECKED,
    output:
        f"{RESULTS}/backbone.pt",
    params:
        model=EXPERIMENT.model.model_dump(include={"backbone", "weights"}),
        pretraining=(
            EXPERIMENT.pretraining.model_dump() if EXPERIMENT.model.weights == "glyphs" else None
        ),
        code=code_digest("satl.models.backbone", "satl.training.pretrain"),
        device=EXPERIMENT.device,
    threads: EXPERIMENT.pretraining.threads
    resources:
        gpu=GPUS,
    log:
        f"{RESULTS}/logs/backbone.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} backbone --config {CONFIG} --device {params.device} --out {output}"
        " > {log} 2>&1"


TRAINING = f"{RESULTS}/training/{{dataset}}/seed-{{seed}}/{{job}}"


def runs_of(wildcards):
    return JOBS[TRAINING.format(**wildcards)].runs


def split_of(run):
    return rules.split.output[0].format(
        dataset=run.dataset, ratio=satl.config.ratio_name(run.known_ratio), seed=run.seed
    )


def run_options(wildcards):
    """`--run METHOD OBSERVED OUT` for each run of a training job."""
    job = JOBS[TRAINING.format(**wildcards)]
    return " ".join(
        shlex.join(["--run", run.method, split_of(run), str(job.run_folder(RESULTS, run))])
        for run in job.runs
    )


def fingerprints_of(wildcards):
    """What decides, beside the input files, whether the runs of a job are up to date."""
    job = JOBS[TRAINING.format(**wildcards)]
    return {str(run): name_of_settings(run, job.run_folder(RESULTS, run)) for run in job.runs}


def name_of_settings(run, folder):
    """A name for the settings and the code of a run; that of its record where this still holds."""
    entry = EXPERIMENT.methods[run.method]
    asked = flatten(
        settings(
            training_code(method_module(entry.method)),
            entry.method,
            OPTIONS[run.method]["options"],
            EXPERIMENT.model,
            EXPERIMENT.training,
            run.known_ratio,
            run.seed,
        )
    )
    recorded = flatten(recorded_fingerprint(folder) or {})
    if recorded and not differences(recorded, asked):
        # A setting that is newer than the record has its default, and does not count.
        asked = {key: value for key, value in asked.items() if key in recorded}
    return name_of(asked)


def pixel_options(wildcards, input):
    return [f"--{part}-pixels {shlex.quote(input[f'{part}_pixels'])}" for part in SIDES if ON_DISK]


rule train:
    input:
        observed=lambda wildcards: [split_of(run) for run in runs_of(wildcards)],
        test=f"{DATA}/test-images.npz",
        train_pixels=f"{DATA}/train.pixels" if ON_DISK else [],
        test_pixels=f"{DATA}/test.pixels" if ON_DISK else [],
        weights=rules.backbone.output,
        words=rules.embeddings.output if vectors_path(EXPERIMENT) else EXPERIMENT.model.word_vectors or [],
    output:
        directory(TRAINING),
    params:
        runs=run_options,
        # Outside of the outputs, which Snakemake deletes: see satl/runs/store.py.
        store=f"{RESULTS}/trained",
        device=EXPERIMENT.device,
        words=lambda wildcards, input: f"--embeddings {input.words}" if input.words else "",
        pixels=pixel_options,
        fingerprints=fingerprints_of,
        versions=library_versions(),
    threads: EXPERIMENT.training.threads
    resources:
        gpu=GPUS,
    log:
        f"{RESULTS}/logs/train/{{dataset}}/seed-{{seed}}/{{job}}.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} train --config {CONFIG} --dataset {wildcards.dataset} {params.runs} {params.pixels}"
        " {params.words} --test-images {input.test} --weights {input.weights} --device {params.device}"
        " --store {params.store} > {log} 2>&1"
