# From splits to trained runs, `runs_per_job` of them per job. Training gets no true labels, neither of training nor test images.


def backbone_inputs():
    if EXPERIMENT.model.weights in ("glyphs", "random"):
        return []
    return file_or_download(weights_path(EXPERIMENT) or EXPERIMENT.model.weights)


rule backbone:
    input:
        backbone_inputs(),
    output:
        f"{RESULTS}/backbone.pt",
    params:
        model=EXPERIMENT.model.model_dump(include={"backbone", "weights"}),
        pretraining=(
            EXPERIMENT.pretraining.model_dump() if EXPERIMENT.model.weights == "glyphs" else None
        ),
        code=code_hash("satl.models.backbone", "satl.training.pretrain"),
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


def methods_of(wildcards):
    """What decides, beside the protocol, whether the runs of a job are up to date."""
    entries = {run.method: EXPERIMENT.methods[run.method] for run in runs_of(wildcards)}
    return {
        name: [entry.model_dump(), training_code(entry.method)] for name, entry in entries.items()
    }


def pixel_options(wildcards, input):
    return [f"--{part}-pixels {shlex.quote(input[f'{part}_pixels'])}" for part in SIDES if ON_DISK]


rule train:
    input:
        observed=lambda wildcards: [split_of(run) for run in runs_of(wildcards)],
        test=f"{DATA}/test-images.npz",
        train_pixels=f"{DATA}/train.pixels" if ON_DISK else [],
        test_pixels=f"{DATA}/test.pixels" if ON_DISK else [],
        weights=rules.backbone.output,
        words=rules.words.output if vectors_path(EXPERIMENT) else EXPERIMENT.model.word_vectors or [],
    output:
        directory(TRAINING),
    params:
        runs=run_options,
        checkpoints=f"{RESULTS}/checkpoints",
        finished=f"{RESULTS}/runs",
        device=EXPERIMENT.device,
        words=lambda wildcards, input: f"--words {input.words}" if input.words else "",
        pixels=pixel_options,
        methods=methods_of,
        protocol=EXPERIMENT.model_dump(
            include={"model", "training"}, exclude={"training": satl.config.SPEED_ONLY}
        ),
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
        " --checkpoints {params.checkpoints} --finished {params.finished} > {log} 2>&1"
