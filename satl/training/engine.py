"""Training jobs: builds some runs, trains them side by side, writes their run folders."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from satl.config import Training, ratio_name
from satl.core.errors import UserError
from satl.core.seeds import derive_seed
from satl.data.table import LabelTable, check_same_categories
from satl.methods.base import Context
from satl.models.backbone import Backbone, build_backbone
from satl.runs.fingerprint import Fingerprint
from satl.runs.layout import MODEL_FILE
from satl.runs.store import Entry, Store
from satl.training.best_weights import BestWeights
from satl.training.context import (
    RunSpec,
    TrainingContext,
    check_held_out,
    run_config,
    run_fingerprint,
    wanted_weights,
)
from satl.training.features import CachedFeatures, FeatureSource, ImageFeatures
from satl.training.model_file import write_model
from satl.training.precision import compiler_errors, prepare_torch
from satl.training.recording import check_free, write_run_folder
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


@dataclass(frozen=True, eq=False)
class _Job:
    """A run with what it resolves to."""

    spec: RunSpec
    config: dict[str, Any]
    fingerprint: Fingerprint
    entry: Entry
    weights: dict[str, str] | None

    def is_finished(self) -> bool:
        """Whether the store has the run, with the weights that it is to keep."""
        return self.entry.is_finished(self.weights)


def train(shared: TrainingContext, runs: Sequence[RunSpec]) -> None:
    """Train all runs and link their folders; resumes from checkpoints where there are any.

    A run that the store holds with the same fingerprint is not trained again.

    The runs must have the same training images and seed. On the CPU the result is the same bit
    for bit, whether runs are trained alone or together, in one go or resumed.

    Args:
        shared: what the runs have in common.
        runs: to be trained.

    Raises:
        UserError: train and test categories differ; a folder holds another run; labels of images
            held out are missing or of other images;
            another process is training a run; an image cannot be read; a run diverged or
            cannot be written; the GPU's memory is too small.
        Stopped: after SIGTERM or Ctrl-C; the same call resumes from there.
    """
    seed = _common_seed(runs)
    for run in runs:
        check_same_categories(run.observed, shared.test)
        check_held_out(run, shared)
    prepare_torch(shared.training, shared.device)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    jobs = [_resolve(run, shared) for run in runs]
    failures = _train_unfinished(jobs, shared, seed, started)
    for job in jobs:
        if job.is_finished():
            job.entry.link_to(job.spec.folder)
    if failures:
        raise UserError("\n".join(map(str, failures)))


def _train_unfinished(
    jobs: Sequence[_Job], shared: TrainingContext, seed: int, started: str
) -> list[UserError]:
    """Train what the store does not hold finished; returns why runs dropped out, if any did."""
    with ExitStack() as locks:
        for job in jobs:
            if not job.is_finished():
                locks.enter_context(job.entry.in_training())
        waiting = [job for job in jobs if not job.is_finished()]
        for job in jobs:
            if job not in waiting:
                print(f"{job.spec.title}: reusing the finished run in {job.entry.folder}")
        return _train_together(waiting, shared, seed, started) if waiting else []


def _train_together(
    waiting: Sequence[_Job], shared: TrainingContext, seed: int, started: str
) -> list[UserError]:
    """Train all of them side by side; returns why runs dropped out, if any did."""
    with stop_requests() as stop:
        model, side = shared.model, shared.training.image_size
        backbone = build_backbone(model.backbone, shared.backbone_weights, model.frozen, side)
        runs = [
            _resumed(build_run(job.spec, shared, backbone, job.entry.checkpoint)) for job in waiting
        ]
        observed = waiting[0].spec.observed
        strong = any(run.strong_view for run in runs)
        features = feature_source(shared, backbone, observed, seed, strong)
        trainer = Trainer(shared.training, features, runs, len(observed.file_names), seed)
        with compiler_errors(shared.training):
            trainer.run(stop)
        for job, run in zip(waiting, runs, strict=True):
            if run in trainer.runs:
                try:
                    _record(job, run, shared, backbone, started)
                except UserError as error:
                    trainer.failures.append(error)
                    trainer.save(run)  # the same call then writes the folder, without training
    return trainer.failures


def feature_source(
    shared: TrainingContext,
    backbone: Backbone,
    observed: LabelTable,
    seed: int,
    strong: bool = False,
) -> FeatureSource:
    """Cached feature maps where the protocol asks for them, else images and frozen stages.

    `strong`: whether training images have a strong view, too.
    """
    training, device = shared.training, shared.device
    if training.cached_views:
        views = shared.strong_feature_file(observed) if strong else None
        return CachedFeatures(shared.feature_files(observed), training, seed, device, views)
    return ImageFeatures(
        backbone, observed, shared.predicted, training, shared.pixels, seed, device, strong
    )


def _record(
    job: _Job, run: TrainingRun, shared: TrainingContext, backbone: Backbone, started: str
) -> None:
    if shared.training.keep_weights:
        write_model(job.entry.folder / MODEL_FILE, job.spec, shared, run, backbone)
    write_run_folder(job.entry.folder, job.spec, shared, run, job.config, job.fingerprint, started)
    job.entry.close()


def _common_seed(runs: Sequence[RunSpec]) -> int:
    for run in runs:
        if "mask_sha256" not in run.observed.info:
            raise UserError(
                f"the labels given for {run.variant} are no partial-label split; "
                "make one with `satl split`"
            )
    seeds = {run.seed for run in runs}
    images = {(run.observed.folder, run.observed.file_names) for run in runs}
    if len(seeds) != 1 or len(images) != 1:
        raise UserError("runs trained together must have the same images and the same seed")
    keys = [run.key for run in runs]
    for run in runs:
        if keys.count(run.key) > 1:
            raise UserError(f"{run.title}: named twice; give each run of a job once")
    return seeds.pop()


def _resolve(spec: RunSpec, shared: TrainingContext) -> _Job:
    fingerprint = run_fingerprint(spec, shared)
    check_free(spec.folder, fingerprint)
    entry = Store(shared.store).entry(spec.key, fingerprint)
    return _Job(spec, run_config(spec, shared), fingerprint, entry, wanted_weights(spec, shared))


def build_run(
    spec: RunSpec, shared: TrainingContext, backbone: Backbone, folder: Path
) -> TrainingRun:
    """A run at its start, whatever was built before it.

    Its initial weights and the method's random numbers are those of its seed *and* known ratio:
    over several ratios the luck of trainings then averages out, and the statistics may count them
    as separate trainings. The order of the images is the seed's alone, as runs of a job share it.

    Args:
        spec, shared: what is to be trained.
        backbone: that the trained part starts from.
        folder: of its checkpoint.
    """
    training, categories = shared.training, spec.observed.categories
    steps = len(epoch_order(training, len(spec.observed.file_names), spec.seed, epoch=0))
    seed = derive_seed(spec.seed, "known", ratio_name(spec.key.known_ratio))
    context = Context(categories, training.epochs, steps, torch.from_numpy(spec.observed.labels))
    words = shared.word_vectors(categories)
    torch.manual_seed(derive_seed(seed, "model"))
    method = spec.kind(spec.options, context)
    model = method.build_model(backbone, torch.from_numpy(words), shared.model)
    return TrainingRun(
        spec.title,
        spec.observed,
        model.to(shared.device, memory_format=torch.channels_last),
        method.to(shared.device),
        shared.training_of(spec),
        steps,
        seed,
        folder,
        shared.device,
        _best_weights(spec, training),
    )


def _best_weights(spec: RunSpec, training: Training) -> BestWeights | None:
    if training.keep_weights != "best_on_validation" or spec.held_out is None:
        return None
    return BestWeights(spec.held_out.labels)


def _resumed(run: TrainingRun) -> TrainingRun:
    run.resume()
    if run.epoch or run.step:
        tqdm.write(f"{run.name}: resuming after epoch {run.epoch}, step {run.step}")
    return run
