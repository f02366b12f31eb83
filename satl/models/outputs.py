"""What every model gives for a batch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """What a model says of a batch.

    Attributes:
        logits: (B, C).
        features: (B, C, D), one per category.
        classify: from features to logits, for methods that change features.
        strong: the same of the images' strong views, for methods that ask for it.
    """

    logits: Tensor
    features: Tensor
    classify: Callable[[Tensor], Tensor]
    strong: Self | None = field(default=None, kw_only=True)

    def float(self, autocast: Callable[[], AbstractContextManager[None]] = nullcontext) -> Self:
        """The same in float32: losses are computed from these, whatever the network ran in.

        Args:
            autocast: what the network runs in; `classify` still does, and returns float32.
        """
        return replace(
            self,
            logits=self.logits.float(),
            features=self.features.float(),
            classify=in_float32(self.classify, autocast),
        )


def in_float32(
    part: Callable[[Tensor], Tensor], autocast: Callable[[], AbstractContextManager[None]]
) -> Callable[[Tensor], Tensor]:
    """A part of the network that runs in `autocast` and returns float32."""

    def run(features: Tensor) -> Tensor:
        with autocast():
            return part(features).float()

    return run
