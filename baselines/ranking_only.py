"""Ranking only: a control with SATL's ranking loss and none of its pseudo-labels."""

from pydantic import Field
from torch import Tensor

from satl.losses import differential_ranking, partial_bce
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs


class RankingOnlyOptions(Hyperparameters):
    """Hyperparameters of ranking only."""

    ranking_weight: float = Field(1.0, ge=0, description="w, weight of the ranking loss")


class RankingOnly(Method[RankingOnlyOptions]):
    """Partial BCE plus the differential ranking loss of `satl.losses.differential_ranking`."""

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        ranking = self.options.ranking_weight * differential_ranking(outputs.logits, labels)
        return StepResult({"known": partial_bce(outputs.logits, labels), "ranking": ranking})
