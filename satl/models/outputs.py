"""What every model gives for a batch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """What a model says of a batch.

    Attributes:
        logits: (B, C).
        features: (B, C, D), one per category.
        classify: from features to logits, for methods that change features.
    """

    logits: Tensor
    features: Tensor
    classify: Callable[[Tensor], Tensor]

    def float(self) -> Self:
        """The same in float32: losses are computed from these, whatever the network ran in."""
        return replace(self, logits=self.logits.float(), features=self.features.float())
