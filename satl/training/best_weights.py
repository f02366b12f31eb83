"""The weights of the best epoch so far, by known labels of images held out of training."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from satl.metrics import known_mean_ap


class BestWeights:
    """Keeps the weights of the first of the best epochs; of the last where no mAP is defined.

    Attributes:
        epoch: it, from 1; 0: none yet.
        score: its mAP over the known labels.
        weights: of the trained part of the network, on the CPU.

    Args:
        labels: (H, C) what is known of the images held out: +1 / -1 / 0.
    """

    def __init__(self, labels: NDArray) -> None:
        self.labels = labels
        self.epoch, self.score = 0, float("nan")
        self.weights: dict[str, Tensor] = {}

    def consider(self, epoch: int, model: nn.Module, predicted: NDArray) -> None:
        """Take the weights of `model` if `epoch` is the best so far.

        Args:
            epoch: from 1.
            model: as it is after this epoch.
            predicted: (N, C) logits, the first H of the images held out.
        """
        score = known_mean_ap(predicted[: len(self.labels)], self.labels)
        if np.isnan(self.score) or score > self.score:
            self.epoch, self.score = epoch, score
            state = model.state_dict()
            self.weights = {name: value.cpu().clone() for name, value in state.items()}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"epoch": self.epoch, "score": self.score, "weights": self.weights}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to what `state` gave."""
        self.epoch, self.score = state["epoch"], state["score"]
        self.weights = {name: value.cpu() for name, value in state["weights"].items()}
