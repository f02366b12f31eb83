"""One run in training: its labels, model, method, optimiser, and what it has recorded so far."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from satl.config import Training
from satl.data.table import LabelTable
from satl.errors import UserError
from satl.files import write_arrays, writing
from satl.methods.base import Method, Progress
from satl.records import THRESHOLD_COLUMNS
from satl.seeds import derive_seed


@dataclass
class EpochRecord:
    """Sums over an epoch's steps; kept on the device, so that no step waits for them."""

    losses: dict[str, Tensor]
    pseudo_labels: Tensor  # (N, C) int8
    logits: Tensor  # (N, C) float32, as the model gave them in training


class Lane:
    """A run beside others that share its images, augmentation and frozen backbone stages.

    Nothing in a lane depends on the other lanes: trained alone or with others, it comes out
    the same.

    Args:
        observed: the partially labelled training images.
        model: the trained part of the network.
        method: the method, on the same device.
        training: the protocol.
        seed: of the method's random stream.
        checkpoint: folder of this run's checkpoint; its name identifies config and code.
    """

    def __init__(
        self,
        observed: LabelTable,
        model: nn.Module,
        method: Method,
        training: Training,
        seed: int,
        checkpoint: Path,
        device: torch.device,
    ) -> None:
        self.observed, self.training, self.checkpoint = observed, training, checkpoint
        self.model, self.method, self.device = model, method, device
        self.labels = torch.from_numpy(observed.labels).to(device)
        trained = [p for p in (*model.parameters(), *method.parameters()) if p.requires_grad]
        self.optimizer = torch.optim.Adam(
            trained, lr=training.learning_rate, weight_decay=training.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.StepLR(
            self.optimizer, training.lr_step, training.lr_gamma
        )
        self.generator = torch.Generator(device).manual_seed(derive_seed(seed, "method"))
        self.epochs_done = 0
        self.metrics: list[dict[str, Any]] = []
        self.thresholds: list[pd.DataFrame] = []
        self.record: EpochRecord | None = None

    def begin_epoch(self) -> None:
        """Start an empty record and put model and method into training mode."""
        self.record = EpochRecord(
            losses={},
            pseudo_labels=torch.zeros_like(self.labels),
            logits=torch.full(self.labels.shape, torch.nan, device=self.device),
        )
        self.model.train()
        self.method.train()

    def step(self, maps: Tensor, indices: Tensor, step: int) -> None:
        """One optimiser step on the frozen stages' maps of the images `indices`."""
        labels = self.labels[indices]
        outputs = self.model(maps)
        progress = Progress(self.epochs_done, step, indices, self.generator)
        result = self.method.step(outputs, labels, progress)
        self.optimizer.zero_grad(set_to_none=True)
        sum(result.losses.values()).backward()
        self.optimizer.step()
        self._remember(result.losses, result.pseudo_labels, outputs.logits, indices)

    def _remember(
        self, losses: dict[str, Tensor], pseudo: Tensor | None, logits: Tensor, indices: Tensor
    ) -> None:
        record = self.record
        for name, value in losses.items():
            record.losses[name] = record.losses.get(name, 0) + value.detach()
        record.logits[indices] = logits.detach().float()
        if pseudo is not None:
            record.pseudo_labels[indices] = pseudo

    @torch.inference_mode()
    def predict(self, maps: Tensor) -> Tensor:
        """(B, C) float32 logits on the CPU, in evaluation mode."""
        self.model.eval()
        return self.model(maps).logits.float().cpu()

    def end_epoch(self, test_logits: np.ndarray, steps: int, seconds: float) -> None:
        """Note the epoch, move the schedule on, and save a checkpoint.

        Raises:
            UserError: the loss is not a finite number; the last checkpoint stays as it was.
        """
        means = {name: float(total) / steps for name, total in self.record.losses.items()}
        if not np.isfinite(sum(means.values())):
            raise UserError(
                f"the loss is not finite in epoch {self.epochs_done + 1} ({means}); lower "
                "training.learning_rate. The checkpoint of the epoch before is kept."
            )
        self.method.end_epoch(self.epochs_done, self.record.logits)
        self.epochs_done += 1
        pseudo = self.record.pseudo_labels.cpu().numpy()
        self.metrics.append(
            {
                "epoch": self.epochs_done,
                "loss": sum(means.values()),
                **{f"loss_{name}": value for name, value in means.items()},
                "learning_rate": self.schedule.get_last_lr()[0],
                "seconds": round(seconds, 3),
                "pseudo_positives": int((pseudo > 0).sum()),
                "pseudo_negatives": int((pseudo < 0).sum()),
            }
        )
        self.thresholds.append(self._threshold_rows())
        self.schedule.step()
        train_logits = self.record.logits.cpu().numpy()
        write_arrays(
            self._epoch_file(self.epochs_done),
            test_logits=test_logits,
            pseudo_labels=pseudo,
            train_logits=train_logits,
        )
        self._save()

    def _threshold_rows(self) -> pd.DataFrame:
        values = {name: v.detach().cpu().numpy() for name, v in self.method.thresholds().items()}
        rows = pd.DataFrame(values, columns=THRESHOLD_COLUMNS, dtype="float64")
        rows = rows.reindex(range(len(self.observed.categories)))
        rows["epoch"] = self.epochs_done
        rows["category"] = list(self.observed.categories)
        return rows

    def epoch_arrays(self) -> list[dict[str, np.ndarray]]:
        """test_logits, pseudo_labels and train_logits of every epoch done."""
        arrays = []
        for epoch in range(1, self.epochs_done + 1):
            with np.load(self._epoch_file(epoch)) as file:
                arrays.append(dict(file))
        return arrays

    def _epoch_file(self, epoch: int) -> Path:
        return self.checkpoint / f"epoch-{epoch:04d}.npz"

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "epochs_done": self.epochs_done,
            "metrics": self.metrics,
            "thresholds": [rows.to_dict("list") for rows in self.thresholds],
        }

    def _save(self) -> None:
        with writing(self.checkpoint / "state.pt") as temporary:
            torch.save(self._state(), temporary)

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        path = self.checkpoint / "state.pt"
        if not path.is_file():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        for part in ("model", "method", "optimizer", "schedule"):
            getattr(self, part).load_state_dict(state[part])
        self.generator.set_state(state["generator"])
        self.epochs_done, self.metrics = state["epochs_done"], state["metrics"]
        self.thresholds = [pd.DataFrame(rows) for rows in state["thresholds"]]

    def discard_checkpoint(self) -> None:
        """Remove the checkpoint, once the run folder is complete."""
        shutil.rmtree(self.checkpoint, ignore_errors=True)
