"""Training jobs: builds some runs, trains them side by side, writes their run folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from satl.config import read_options
from satl.core.errors import UserError
from satl.core.registry import method_class
from satl.core.seeds import derive_seed
from satl.data.table import check_same_categories
from satl.methods.base import Context
from satl.models.backbone import Backbone, build_backbone, load_weights
from satl.training.context import RunSpec, Shared, run_config, run_identity
from satl.training.precision import compiler_errors, prepare_torch
from satl.training.recording import check_ownership, take_over, write_run_folder
from satl.training.run import TrainingRun
from satl.training.stopping import stop_requests
from satl.training.trainer import Trainer, epoch_order


def choose_device(name: str) -> torch.device:
    """`auto` takes CUDA, else the CPU; MPS, which is untried, must be named.

    Raises:
        UserError: the device is not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name}: not available here ({error}); try auto") from error
    return device


@dataclass(frozen=True)
class _Job:
    """A run with what it resolves to."""

    spec: RunSpec
    options: Any
    config: dict[str, Any]
    identity: str


def train(shared: Shared, specs: Sequence[RunSpec], finished: Path | None = None) -> None:
    """Train all runs and write their folders; resumes from checkpoints where there are any.

    The runs must have the same training images and seed. On the CPU the result is the same bit
    for bit, whether runs are trained alone or together, in one go or resumed.

    Args:
        shared: what the runs have in common.
        specs: the runs to be trained.
        finished: a folder of runs (results/NAME/runs). One found there that is the same in
            config, code and inputs is taken over instead of trained again.

    Raises:
        UserError: train and test categories differ; bad options; a folder holds a run of
            another config; an image cannot be read; a run diverged or cannot be written; the
            GPU's memory is too small.
        Stopped: after SIGTERM or Ctrl-C; the same call resumes.
    """
    seed = _common_seed(specs)
    for spec in specs:
        check_same_categories(spec.observed, shared.test)
    prepare_torch(shared.training, shared.device)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    jobs = [_resolve(spec, shared) for spec in specs]
    jobs = [job for job in jobs if not take_over(job.spec, job.identity, finished)]
    if not jobs:
        return
    with stop_requests() as stop:
        backbone = build_backbone(shared.model.backbone, load_weights(shared.weights))
        runs = [_resumed(_build(job, shared, backbone, seed)) for job in jobs]
        trainer = Trainer(shared, backbone, runs, jobs[0].spec.observed, seed)
        with compiler_errors(shared.training):
            trainer.run(stop)
        for job, run in zip(jobs, runs, strict=True):
            if run in trainer.runs:
                try:
                    write_run_folder(job.spec, shared, run, job.config, job.identity, started)
                except UserError as error:
                    trainer.failures.append(error)
    if trainer.failures:
        # All checkpoints stay: the finished runs need not be trained again.
        raise UserError("\n".join(map(str, trainer.failures)))
    for run in runs:
        run.checkpoint.discard()


def _common_seed(specs: Sequence[RunSpec]) -> int:
    for spec in specs:
        if "mask_sha256" not in spec.observed.info:
            raise UserError(
                f"the labels given for {spec.variant} are no partial-label split; "
                "make one with `satl split`"
            )
    seeds = {spec.observed.info["seed"] for spec in specs}
    images = {(spec.observed.folder, spec.observed.file_names) for spec in specs}
    if len(seeds) != 1 or len(images) != 1:
        raise UserError("runs trained together must have the same images and the same seed")
    return seeds.pop()


def _resolve(spec: RunSpec, shared: Shared) -> _Job:
    schema = method_class(spec.method).Options
    options = read_options(schema, spec.options, f"methods.{spec.variant}")
    config = run_config(spec, shared, options.model_dump(mode="json"))
    check_ownership(spec.folder, config)
    return _Job(spec, options, config, run_identity(spec, shared, config))


def _build(job: _Job, shared: Shared, backbone: Backbone, seed: int) -> TrainingRun:
    folder = shared.checkpoints / job.identity
    return build_run(job.spec, job.options, shared, backbone, seed, folder)


def build_run(
    spec: RunSpec, options: Any, shared: Shared, backbone: Backbone, seed: int, folder: Path
) -> TrainingRun:
    """A run at its start, whatever was built before it.

    Args:
        spec, shared: what is to be trained.
        options: of the run's method, checked.
        backbone: that the trained part starts from.
        seed: of the weights.
        folder: of its checkpoint.
    """
    training, categories = shared.training, spec.observed.categories
    steps = len(epoch_order(training, len(spec.observed.file_names), seed, epoch=0))
    context = Context(categories, training.epochs, steps, torch.from_numpy(spec.observed.labels))
    words = shared.word_vectors(categories)
    torch.manual_seed(derive_seed(seed, "model"))
    method = method_class(spec.method)(options, context)
    model = method.build_model(backbone, torch.from_numpy(words), shared.model)
    return TrainingRun(
        spec.title,
        spec.observed,
        model.to(shared.device, memory_format=torch.channels_last),
        method.to(shared.device),
        training,
        steps,
        seed,
        folder,
        shared.device,
    )


def _resumed(run: TrainingRun) -> TrainingRun:
    run.resume()
    if run.epoch or run.step:
        tqdm.write(f"{run.name}: resuming after epoch {run.epoch}, step {run.step}")
    return run
