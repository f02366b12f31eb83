"""ASL: asymmetric loss, unknown labels counted as absent (Ridnik et al., ICCV 2021).

Made for full labels. `gamma_pos: 2, gamma_neg: 2, clip: 0` is the focal loss. The published loss is
a sum over all entries, this one their mean.
"""

from pydantic import Field
from torch import Tensor

from satl.losses import asymmetric_terms
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs


class ASLOptions(Hyperparameters):
    """Hyperparameters of the asymmetric loss."""

    gamma_pos: float = Field(0.0, ge=0, description="γ₊, how fast easy present entries fade")
    gamma_neg: float = Field(4.0, ge=0, description="γ₋, how fast easy absent entries fade")
    clip: float = Field(0.05, ge=0, lt=1, description="score below which an absent entry is free")


class ASL(Method[ASLOptions]):
    """Asymmetric loss averaged over all entries, the unknown ones counted as absent."""

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        options = self.options
        terms = asymmetric_terms(
            outputs.logits, labels, options.gamma_pos, options.gamma_neg, options.clip
        )
        return StepResult({"known_and_assumed": terms.mean()})
