"""A trained network on images: what their logits are, as they were in training's record."""

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satl.config import Training
from satl.core.errors import UserError
from satl.data.images.batches import consecutive_order
from satl.data.images.loading import loaded
from satl.data.images.prefetch import prefetch
from satl.data.images.tolerant import TolerantImages
from satl.training.feature_file import as_stored
from satl.training.few_at_once import few_at_once
from satl.training.model_file import TrainedModel
from satl.training.precision import autocast, prepare_torch


class Prediction(NamedTuple):
    """What the network says of an image: (C,) logits, or why the file cannot be read."""

    file: Path
    logits: NDArray[np.float32] | None
    unreadable: str = ""


class Predictor:
    """Runs a trained network in the protocol that it was trained in.

    Args:
        model: the network and its facts.
        device: to compute on.
        training: the protocol; by default the model's own, which gives the scores of the run's
            record: bit for bit on a CPU of one kind, unless `compile` was set.
    """

    def __init__(
        self, model: TrainedModel, device: torch.device, training: Training | None = None
    ) -> None:
        self.facts, self.device = model.facts, device
        self.training = training or model.facts.training
        prepare_torch(self.training, device)
        self.network = model.network.to(device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) uint8 images of `training.image_size` on the device: (B, C) float32."""
        with autocast(self.device, self.training.precision):
            maps = few_at_once(self.network.feature_maps, images)
        if self.training.cached_views:  # as it was trained: on maps out of a file
            maps = as_stored(maps)
        with autocast(self.device, self.training.precision):
            return self.network.logits(maps)

    def predict(self, files: Sequence[Path]) -> Iterator[Prediction]:
        """One after the other, computed in batches of `training.eval_batch_size`.

        Raises:
            UserError: a batch does not fit into the GPU's memory.
        """
        order = consecutive_order(len(files), self.training.eval_batch_size)
        dataset = TolerantImages(files, self.training.image_size)
        on_gpu = self.device.type == "cuda"
        unreadable: deque[Sequence[str]] = deque()  # of the batches that are on their way

        def images() -> Iterator[Tensor]:
            for batch, reasons in loaded(dataset, order, self.training.workers, on_gpu):
                unreadable.append(reasons)
                yield batch

        for rows, batch in zip(order, prefetch(images(), self.device), strict=True):
            try:
                logits = self.logits(batch).cpu().numpy()
            except torch.OutOfMemoryError as error:
                raise UserError(
                    f"the GPU's memory is too small for batches of {len(rows)} images; give a "
                    "smaller --batch-size, or --device cpu"
                ) from error
            for row, values, reason in zip(rows, logits, unreadable.popleft(), strict=True):
                yield Prediction(files[row], None if reason else values, reason)
