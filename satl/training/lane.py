"""One run in training: its labels, model, method, optimiser, and what it has recorded so far."""

import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from satl.config import Training
from satl.core.errors import UserError
from satl.core.files import write_arrays, writing
from satl.core.seeds import derive_seed
from satl.data.table import LabelTable
from satl.methods.base import Method, Progress
from satl.runs.folder import THRESHOLD_COLUMNS
from satl.training.precision import autocast


@dataclass
class EpochRecord:
    """Of an epoch's steps so far; kept on the device, so that no step waits for it."""

    losses: dict[str, Tensor]  # sums over the steps
    pseudo_labels: Tensor  # (N, C) int8
    logits: Tensor  # (N, C) float32, as the model gave them in training
    first_bad_step: Tensor  # from 0, the first whose loss was not finite; -1 if none

    @classmethod
    def empty(cls, labels: Tensor) -> "EpochRecord":
        """Of no steps; `labels` (N, C) give size and device."""
        device = labels.device
        return cls(
            losses={},
            pseudo_labels=torch.zeros_like(labels),
            logits=torch.full(labels.shape, torch.nan, device=device),
            first_bad_step=torch.tensor(-1, device=device),
        )


class Lane:
    """A run beside others that share its images, augmentation and frozen backbone stages.

    Nothing in a lane depends on the other lanes: trained alone or with others, it comes out
    the same. `epoch` and `step` count what is done: whole epochs, and steps of the next one.

    Args:
        name: of the run, for messages.
        observed: the partially labelled training images.
        model: the trained part of the network, on the device.
        method: the method, on the device.
        training: the protocol.
        steps: in an epoch.
        seed: of the method's random stream.
        checkpoint: folder of this run's checkpoint; its name identifies config and code.
    """

    def __init__(
        self,
        name: str,
        observed: LabelTable,
        model: nn.Module,
        method: Method,
        training: Training,
        steps: int,
        seed: int,
        checkpoint: Path,
        device: torch.device,
    ) -> None:
        self.name, self.observed, self.training, self.steps = name, observed, training, steps
        self.model, self.method, self.checkpoint = model, method, checkpoint
        if training.compile:
            self.model.compile()
        self.device = device
        self.labels = torch.from_numpy(observed.labels).to(device)
        trained = [p for p in (*model.parameters(), *method.parameters()) if p.requires_grad]
        self.optimizer = torch.optim.Adam(
            trained,
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            fused=device.type != "mps",
        )
        self.generator = torch.Generator(device).manual_seed(derive_seed(seed, "method"))
        self.epoch, self.step = 0, 0
        self.seconds = 0.0  # spent on the epoch so far
        self.metrics: list[dict[str, Any]] = []
        self.thresholds: list[pd.DataFrame] = []
        self.record = EpochRecord.empty(self.labels)

    def train_step(self, maps: Tensor, indices: Tensor) -> None:
        """One step on the frozen stages' maps of the images `indices` (rows of the table)."""
        self.model.train()
        self.method.train()
        with autocast(self.device, self.training.precision):
            outputs = self.model(maps).float()
            progress = Progress(self.epoch, self.step, indices, self.generator)
            result = self.method.step(outputs, self.labels[indices], progress)
        loss = sum(result.losses.values())
        (loss / self._accumulated(self.step)).backward()
        self._remember(result.losses, result.pseudo_labels, outputs.logits, indices)
        self.step += 1
        if self.between_updates:
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)

    @property
    def learning_rate(self) -> float:
        """Of the epoch that is being trained: a decay every `lr_step` epochs."""
        training = self.training
        return training.learning_rate * training.lr_gamma ** (self.epoch // training.lr_step)

    @property
    def between_updates(self) -> bool:
        """Whether no gradients wait for the steps that they are to be averaged with."""
        return self.step % self.training.accumulate == 0 or self.step == self.steps

    def _accumulated(self, step: int) -> int:
        """How many steps share the optimiser's update that `step` belongs to."""
        size = self.training.accumulate
        return min(size, self.steps - step // size * size)

    @torch.no_grad()
    def _remember(
        self, losses: dict[str, Tensor], pseudo: Tensor | None, logits: Tensor, indices: Tensor
    ) -> None:
        record = self.record
        for name, value in losses.items():
            record.losses[name] = record.losses.get(name, 0) + value.detach()
        record.logits[indices] = logits.detach()
        if pseudo is not None:
            record.pseudo_labels[indices] = pseudo
        bad = ~torch.isfinite(sum(losses.values())) & (record.first_bad_step < 0)
        record.first_bad_step.masked_fill_(bad, self.step)

    def check_finite(self) -> None:
        """Raises UserError, naming the step, if a loss of this epoch was not a finite number."""
        step = int(self.record.first_bad_step)
        if step >= 0:
            raise UserError(
                f"{self.name}: the loss is not finite at step {step + 1} of {self.steps} in epoch "
                f"{self.epoch + 1}; lower training.learning_rate. The last good checkpoint is kept."
            )

    @torch.inference_mode()
    def predict(self, maps: Tensor) -> Tensor:
        """(B, C) float32 logits, in evaluation mode."""
        self.model.eval()
        with autocast(self.device, self.training.precision):
            return self.model(maps).logits.float()

    def end_epoch(self, test_logits: np.ndarray) -> None:
        """Note the epoch and save a checkpoint.

        Raises:
            UserError: a loss was not a finite number; the last checkpoint stays as it was.
        """
        self.check_finite()
        means = {name: float(total) / self.steps for name, total in self.record.losses.items()}
        self.method.end_epoch(self.epoch, self.record.logits)
        pseudo = self.record.pseudo_labels.cpu().numpy()
        self.metrics.append(
            {
                "epoch": self.epoch + 1,
                "loss": sum(means.values()),
                **{f"loss_{name}": value for name, value in means.items()},
                "learning_rate": self.learning_rate,
                "seconds": round(self.seconds, 3),
                "pseudo_positives": int((pseudo > 0).sum()),
                "pseudo_negatives": int((pseudo < 0).sum()),
            }
        )
        self.thresholds.append(self._threshold_rows())
        write_arrays(
            self._epoch_file(self.epoch + 1),
            test_logits=test_logits,
            pseudo_labels=pseudo,
            train_logits=self.record.logits.cpu().numpy(),
        )
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.record = EpochRecord.empty(self.labels)
        self.save()

    def _threshold_rows(self) -> pd.DataFrame:
        values = {name: v.detach().cpu().numpy() for name, v in self.method.thresholds().items()}
        rows = pd.DataFrame(values, columns=THRESHOLD_COLUMNS, dtype="float64")
        rows = rows.reindex(range(len(self.observed.categories)))
        rows["epoch"] = self.epoch + 1
        rows["category"] = list(self.observed.categories)
        return rows

    def epoch_arrays(self) -> list[dict[str, np.ndarray]]:
        """test_logits, pseudo_labels and train_logits of every epoch done."""
        arrays = []
        for epoch in range(1, self.epoch + 1):
            with np.load(self._epoch_file(epoch)) as file:
                arrays.append(dict(file))
        return arrays

    def _epoch_file(self, epoch: int) -> Path:
        return self.checkpoint / f"epoch-{epoch:04d}.npz"

    def save(self) -> None:
        """Write a checkpoint; only where no gradients are waiting (`between_updates`)."""
        self.check_finite()
        state = {part: getattr(self, part).state_dict() for part in self._MODULES}
        state |= {part: getattr(self, part) for part in self._COUNTS}
        state["generator"] = self.generator.get_state()
        state["thresholds"] = [rows.to_dict("list") for rows in self.thresholds]
        state["record"] = {f.name: getattr(self.record, f.name) for f in fields(self.record)}
        with writing(self.checkpoint / "state.pt") as temporary:
            torch.save(state, temporary)

    _MODULES = ("model", "method", "optimizer")
    _COUNTS = ("epoch", "step", "seconds", "metrics")

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        path = self.checkpoint / "state.pt"
        if not path.is_file():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        for part in self._MODULES:
            getattr(self, part).load_state_dict(state[part])
        for part in self._COUNTS:
            setattr(self, part, state[part])
        self.generator.set_state(state["generator"].cpu())
        self.thresholds = [pd.DataFrame(rows) for rows in state["thresholds"]]
        self.record = EpochRecord(**state["record"])

    def discard_checkpoint(self) -> None:
        """Remove the checkpoint, once the run folder is complete."""
        shutil.rmtree(self.checkpoint, ignore_errors=True)
