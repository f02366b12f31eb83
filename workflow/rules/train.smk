# From splits to run folders. Training gets no true labels, neither of training nor test images.


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
        code=code_hash("satl.models.backbone", "satl.pretrain"),
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


def method_entry_of(wildcards):
    return EXPERIMENT.methods[wildcards.method]


rule train:
    input:
        observed=rules.split.output,
        test=f"{DATA}/test-images.npz",
        weights=rules.backbone.output,
        words=rules.words.output if vectors_path(EXPERIMENT) else EXPERIMENT.model.word_vectors or [],
    output:
        expand(f"{RUN}/{{file}}", file=TRAIN_FILES, allow_missing=True),
    params:
        folder=RUN,
        checkpoints=f"{RESULTS}/checkpoints",
        device=EXPERIMENT.device,
        words=lambda wildcards, input: f"--words {input.words}" if input.words else "",
        # These three decide whether a run is up to date.
        method=lambda wildcards: method_entry_of(wildcards).model_dump(),
        protocol=EXPERIMENT.model_dump(include={"model", "training"}),
        code=lambda wildcards: training_code(method_entry_of(wildcards).method),
    threads: EXPERIMENT.training.threads
    resources:
        gpu=GPUS,
    log:
        f"{RESULTS}/logs/train/{{dataset}}/{{method}}-known-{{ratio}}-seed-{{seed}}.log",
    conda:
        ENVIRONMENT
    shell:
        "{SATL} train --config {CONFIG} --dataset {wildcards.dataset}"
        " --method {wildcards.method} --observed {input.observed} --test-images {input.test}"
        " --weights {input.weights} {params.words} --checkpoints {params.checkpoints} --device {params.device}"
        " --out {params.folder} > {log} 2>&1"
