"""EPR: expected-positive regularisation (Cole et al., CVPR 2021).

BCE on the known labels, and a penalty where an average image of the batch has more or fewer
predicted positives than k. Made for one positive per image and no known negatives. There k comes
from the full labels (VOC 1.5, COCO 2.9), which is a look at the ground truth; here it is estimated
from the labels that are known. The estimate holds for labels known at random; for other masks give
`expected`. The published BCE is divided by B·C, this one by the number of known labels.
"""

from pydantic import Field
from torch import Tensor

from satl.losses import partial_bce
from satl.methods.base import Context, Hyperparameters, Method, Progress, StepResult
from satl.methods.parts.expected_positives import expected_positive_penalty, expected_positives
from satl.models.outputs import Outputs

__all__ = ["EPR", "EPROptions", "expected_positive_penalty"]


class EPROptions(Hyperparameters):
    """Hyperparameters of expected-positive regularisation."""

    expected: float | None = Field(
        None, gt=0, description="k, positives per image; none: estimated from the known labels"
    )
    weight: float = Field(1.0, ge=0, description="of the penalty; 0: partial BCE")


class EPR(Method[EPROptions]):
    """Partial BCE plus the penalty on the predicted number of positives."""

    def __init__(self, options: EPROptions, context: Context) -> None:
        super().__init__(options, context)
        self.expected = options.expected or expected_positives(context.labels)

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        penalty = expected_positive_penalty(outputs.logits, self.expected)
        return StepResult(
            {
                "known": partial_bce(outputs.logits, labels),
                "expected_positives": self.options.weight * penalty,
            }
        )
