"""The one training loop: several runs (lanes) side by side behind one frozen backbone."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from satl.codehash import training_code
from satl.config import read_options
from satl.data.images import (
    Augmentation,
    Images,
    augmentation_draws,
    consecutive_order,
    normalise,
    training_order,
)
from satl.data.table import check_same_categories
from satl.data.words import word_vectors
from satl.errors import UserError
from satl.files import digest
from satl.jobs import RunSpec, Shared, run_config
from satl.lane import Lane
from satl.methods.base import Context
from satl.models.backbone import build_backbone, load_weights
from satl.recording import check_ownership, write_run_folder
from satl.registry import method_class
from satl.seeds import derive_seed

# Maps of the test images do not change while their stages are frozen; small ones are kept.
KEPT_MAPS_BYTES = 256 * 2**20


def choose_device(name: str) -> torch.device:
    """`auto` takes CUDA, then Apple's MPS, then the CPU. Raises UserError if not available."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name}: not available here ({error}); try auto") from error
    return device


def train(shared: Shared, runs: Sequence[RunSpec]) -> None:
    """Train all runs and write their folders; goes on from checkpoints where there are any.

    The runs must have the same training images and seed. On the CPU the result is the same bit
    for bit, whether runs are trained alone or together, in one go or resumed.

    Raises:
        UserError: train and test categories differ; bad options; a folder holds a run of
            another config; an image cannot be read; the loss is not finite.
    """
    seed = _common_seed(runs)
    for run in runs:
        check_same_categories(run.observed, shared.test)
    if shared.device.type == "cpu":
        torch.set_num_threads(shared.training.threads)
        torch.use_deterministic_algorithms(True)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    trainer = _Trainer(shared, runs, seed)
    trainer.run()
    for run, lane, config in zip(runs, trainer.lanes, trainer.configs, strict=True):
        write_run_folder(run, shared, lane, config, started)
        lane.discard_checkpoint()


def _common_seed(runs: Sequence[RunSpec]) -> int:
    for run in runs:
        if "mask_sha256" not in run.observed.info:
            raise UserError(
                f"the labels given for {run.variant} are no partial-label split; "
                "make one with `satl split`"
            )
    seeds = {run.observed.info["seed"] for run in runs}
    images = {(run.observed.folder, run.observed.file_names) for run in runs}
    if len(seeds) != 1 or len(images) != 1:
        raise UserError("runs trained together must have the same images and the same seed")
    return seeds.pop()


class _Trainer:
    """Frozen stages, image streams and lanes of one training job."""

    def __init__(self, shared: Shared, runs: Sequence[RunSpec], seed: int) -> None:
        self.shared, self.seed, self.device = shared, seed, shared.device
        self.observed = runs[0].observed
        training = shared.training
        self.backbone = build_backbone(shared.model.backbone, load_weights(shared.weights))
        self.frozen = self.backbone.frozen.to(self.device, memory_format=torch.channels_last)
        self.steps = len(self._order(epoch=0))
        self.configs: list[dict[str, Any]] = []
        self.lanes = [self._lane(run) for run in runs]
        cached = training.cache_images
        self.train_images = Images(self.observed.paths(), training.resize, cached, "train")
        self.test_images = Images(shared.test.paths(), training.image_size, cached, "test")
        self.augment = Augmentation(training.crop_scales, training.image_size, training.flip)
        self.kept_maps: list[Tensor] | None = None

    def _lane(self, run: RunSpec) -> Lane:
        kind = method_class(run.method)
        options = read_options(kind.Options, run.options, f"methods.{run.variant}")
        config = run_config(run, self.shared, options.model_dump(mode="json"))
        check_ownership(run.folder, config)
        self.configs.append(config)
        categories = run.observed.categories
        labels = torch.from_numpy(run.observed.labels)
        context = Context(categories, self.shared.training.epochs, self.steps, labels)
        words = word_vectors(categories, self.shared.words or self.shared.model.word_vectors)
        # Every method starts from the same weights, whatever was built before it.
        torch.manual_seed(derive_seed(self.seed, "model"))
        method = kind(options, context)
        model = method.build_model(self.backbone, torch.from_numpy(words), self.shared.model)
        # Whatever can change a number: a checkpoint of anything else is not gone on from.
        state = [config, training_code(run.method), run.observed.folder, self.shared.test.folder]
        state += [_digest(self.shared.weights.read_bytes()), _digest(words.tobytes())]
        key = digest(state)
        lane = Lane(
            run.observed,
            model.to(self.device, memory_format=torch.channels_last),
            method.to(self.device),
            self.shared.training,
            self.seed,
            self.shared.checkpoints / key,
            self.device,
        )
        lane.resume()
        return lane

    def run(self) -> None:
        epochs = self.shared.training.epochs
        first = min(lane.epochs_done for lane in self.lanes)
        for epoch in range(first, epochs):
            # After a kill some lanes may have saved an epoch that others have not.
            lanes = [lane for lane in self.lanes if lane.epochs_done == epoch]
            start = time.perf_counter()
            self._train_epoch(epoch, lanes)
            test_logits = self._predict(lanes)
            seconds = time.perf_counter() - start
            for lane, logits in zip(lanes, test_logits, strict=True):
                lane.end_epoch(logits, self.steps, seconds)

    def _order(self, epoch: int) -> list[list[int]]:
        training = self.shared.training
        count = len(self.observed.file_names)
        return training_order(count, training.batch_size, training.drop_last, self.seed, epoch)

    def _train_epoch(self, epoch: int, lanes: list[Lane]) -> None:
        order = self._order(epoch)
        draws = augmentation_draws(len(self.train_images), self.seed, epoch)
        for lane in lanes:
            lane.begin_epoch()
        batches = self.train_images.batches(order, self.shared.training.workers)
        title = f"epoch {epoch + 1}/{self.shared.training.epochs}"
        bar = tqdm(total=len(order), desc=title, unit="batch", mininterval=1)
        with bar:
            for step, (indices, images) in enumerate(zip(order, batches, strict=True)):
                images = images.to(self.device, non_blocking=True)
                maps = self._maps(self.augment(images, draws[indices]))
                rows = torch.tensor(indices, device=self.device)
                for lane in lanes:
                    lane.step(maps, rows, step)
                bar.update()

    @torch.no_grad()
    def _maps(self, images: Tensor) -> Tensor:
        images = normalise(images).contiguous(memory_format=torch.channels_last)
        return self.frozen(images)

    def _predict(self, lanes: list[Lane]) -> list[np.ndarray]:
        parts: list[list[Tensor]] = [[] for _ in lanes]
        for maps in self._test_maps():
            for lane, part in zip(lanes, parts, strict=True):
                part.append(lane.predict(maps))
        return [torch.cat(part).numpy() for part in parts]

    def _test_maps(self) -> Iterator[Tensor]:
        if self.kept_maps is not None:
            yield from self.kept_maps
            return
        training, kept, count = self.shared.training, [], 0
        order = consecutive_order(len(self.test_images), training.eval_batch_size)
        batches = self.test_images.batches(order, training.workers)
        for images in tqdm(batches, total=len(order), desc="test", unit="batch", leave=False):
            maps = self._maps(images.to(self.device, non_blocking=True))
            count += maps.nbytes
            if count <= KEPT_MAPS_BYTES:
                kept.append(maps)
            yield maps
        if count <= KEPT_MAPS_BYTES:
            self.kept_maps = kept


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
