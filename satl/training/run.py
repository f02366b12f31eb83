"""One run in training: its model, method and optimiser, and the step that trains them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from satl.config import Training
from satl.core.errors import UserError
from satl.core.seeds import derive_seed
from satl.data.table import LabelTable
from satl.methods.base import Method, Progress
from satl.training.best_weights import BestWeights
from satl.training.checkpoint import Checkpoint
from satl.training.epoch import EpochRecord, EpochTimes, largest_magnitude
from satl.training.history import History
from satl.training.optimizer import build_optimizer
from satl.training.precision import autocast
from satl.training.schedule import learning_rate


class Diverged(UserError):
    """A loss, gradient, weight or score of the run is not finite: it cannot continue."""


class TrainingRun:
    """A run beside others that share its images, augmentation and frozen backbone stages.

    Nothing in a run depends on the others: trained alone or with others, it comes out the
    same. `epoch` and `step` count what is done: whole epochs, and steps of the next one.

    Args:
        name: for messages.
        observed: the partially labelled training images.
        model: the trained part of the network, on the device.
        method: the method, on the device.
        training: the protocol.
        steps: per epoch.
        seed: of the method's random stream.
        folder: of this run's checkpoint; its name identifies config and code.
        device: where model and method are.
        best: keeps the weights of the best epoch, where the last is not to be kept.
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
        folder: Path,
        device: torch.device,
        best: BestWeights | None = None,
    ) -> None:
        self.name, self.training, self.steps, self.device = name, training, steps, device
        self.model, self.method, self.best = model, method, best
        if training.compile:
            self.model.compile(fullgraph=True)
        self.checkpoint, self.history = Checkpoint(folder), History(observed.categories, folder)
        self.labels = torch.from_numpy(observed.labels).to(device)
        self.optimizer = build_optimizer(model, method, training, device)
        self.trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.strong_view = method.wants_strong_view(method.options)
        self.generator = torch.Generator(device).manual_seed(derive_seed(seed, "method"))
        self.epoch, self.step = 0, 0
        self.times = EpochTimes()
        self.record = EpochRecord.empty(self.labels)
        self.whole = True  # False in a step, and for good where an error has cut one short

    def train_step(self, features: Tensor, indices: Tensor, strong: Tensor | None = None) -> None:
        """One step on the frozen stages' feature maps of the images `indices` (table rows).

        `strong` are those of the images' strong views, where `strong_view` asks for them.
        """
        self.whole = False
        self.model.train()
        self.method.train()
        outputs = self._outputs(features)
        if strong is not None:
            outputs = replace(outputs, strong=self._outputs(strong))
        progress = Progress(self.epoch, self.step, indices, self.generator)
        result = self.method.step(outputs, self.labels[indices], progress)
        (sum(result.losses.values()) / self._accumulated(self.step)).backward()
        self.record.add(self.step, result, outputs.logits, indices)
        self.step += 1
        if self.no_pending_gradients:
            self._update()
        self.whole = True

    def _outputs(self, features: Tensor) -> Any:
        """What the network says of feature maps: computed in autocast, given as float32."""
        with autocast(self.device, self.training.precision):
            outputs = self.model(features)
        return outputs.float(lambda: autocast(self.device, self.training.precision))

    def _update(self) -> None:
        gradients = [p.grad for p in self.trained if p.grad is not None]
        self.record.note_if_bad(self.step - 1, largest_magnitude(gradients))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * group["rate_factor"]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    @property
    def learning_rate(self) -> float:
        """At the step that is being trained."""
        return learning_rate(self.training, self.epoch, self.step, self.steps)

    @property
    def no_pending_gradients(self) -> bool:
        """True when no accumulated gradients are waiting for an optimizer step."""
        return self.step % self.training.accumulate == 0 or self.step == self.steps

    @property
    def can_be_saved(self) -> bool:
        """True between steps, and only where a checkpoint would lose no gradients."""
        return self.whole and self.no_pending_gradients

    def _accumulated(self, step: int) -> int:
        """How many steps share the optimizer step that `step` belongs to."""
        size = self.training.accumulate
        return min(size, self.steps - step // size * size)

    def check_finite(self) -> None:
        """Raises Diverged, naming the step, where a loss or gradient of this epoch was not finite.

        Asks the device, which must finish all its work first.
        """
        step = int(self.record.first_bad_step)
        if step >= 0:
            raise self._diverged(f"the loss or its gradient is not finite at step {step + 1} of")

    def _check_weights(self) -> None:
        values = (*self.model.state_dict().values(), *self.method.parameters())
        if not torch.isfinite(largest_magnitude(values)):
            raise self._diverged(f"weights are not finite after step {self.step} of")

    def _diverged(self, what: str) -> Diverged:
        return Diverged(
            f"{self.name}: {what} {self.steps} in epoch {self.epoch + 1}; lower "
            "training.learning_rate. The last good checkpoint is kept."
        )

    @torch.inference_mode()
    def predict(self, features: Tensor) -> Tensor:
        """(B, C) float32 logits, in evaluation mode."""
        self.model.eval()
        with autocast(self.device, self.training.precision):
            return self.model(features).logits.float()

    def end_epoch(self, predicted: np.ndarray | None) -> None:
        """Enter the epoch into the history; `save` writes it.

        Args:
            predicted: (N, C) logits of the images that it was tried on; none: it was not.

        Raises:
            Diverged: something is not finite; the last checkpoint stays as it was.
        """
        self.check_finite()
        self._check_weights()
        if predicted is not None and not np.isfinite(predicted).all():
            raise self._diverged(f"predicted scores are not finite after step {self.step} of")
        self.whole = False
        means = self.record.mean_losses(self.steps)
        self.method.end_epoch(self.epoch, self.record.logits)
        pseudo = self.record.pseudo_labels.cpu().numpy()
        metrics = {
            "epoch": self.epoch + 1,
            "loss": sum(means.values()),
            **{f"loss_{name}": value for name, value in means.items()},
            "learning_rate": self.learning_rate,
            **self.times.rounded(),
            "pseudo_positives": int((pseudo > 0).sum()),
            "pseudo_negatives": int((pseudo < 0).sum()),
        }
        arrays = {
            **({} if predicted is None else {"predicted_logits": predicted}),
            "pseudo_labels": pseudo,
            "train_logits": self.record.logits.cpu().numpy(),
        }
        self.history.add(metrics, self.method.thresholds(), arrays)
        self.epoch, self.step = self.epoch + 1, 0
        if self.best is not None and predicted is not None:
            self.best.consider(self.epoch, self.model, predicted)
        self.times = EpochTimes()
        self.record = EpochRecord.empty(self.labels)
        self.whole = True

    def save(self) -> None:
        """Save a checkpoint; only where `can_be_saved`.

        Raises:
            Diverged: something is not finite; the last checkpoint stays as it was.
            UserError: it cannot be written; the last checkpoint stays as it was.
        """
        self.check_finite()
        self._check_weights()
        self.history.write()
        self.checkpoint.save(self._state())

    def kept_weights(self) -> tuple[int, dict[str, Tensor]]:
        """The epoch, from 1, whose weights are to be kept, and these, of the trained part."""
        if self.best is not None:
            return self.best.epoch, self.best.weights
        return self.epoch, self.model.state_dict()

    _MODULES = ("model", "method", "optimizer")
    _COUNTS = ("epoch", "step")

    def _state(self) -> dict[str, Any]:
        return {
            **{part: getattr(self, part).state_dict() for part in self._MODULES},
            **{part: getattr(self, part) for part in self._COUNTS},
            "generator": self.generator.get_state(),
            "history": self.history.state(),
            "record": vars(self.record),
            "times": vars(self.times),
            "best": None if self.best is None else self.best.state(),
        }

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one."""
        state = self.checkpoint.load(self.device)
        if state is None:
            return
        if self.best is not None:
            if state["best"] is None:
                return  # it was trained without a look at which epoch is best
            self.best.load_state(state["best"])
        for part in self._MODULES:
            getattr(self, part).load_state_dict(state[part])
        for part in self._COUNTS:
            setattr(self, part, state[part])
        self.generator.set_state(state["generator"].cpu())
        self.history.load_state(state["history"])
        self.record = EpochRecord(**state["record"])
        self.times = EpochTimes(**state["times"])
