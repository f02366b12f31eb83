"""What SST, SARB, HST and DSRB share: the published network and the losses on known labels."""

from typing import ClassVar, TypeVar

from pydantic import Field
from torch import Tensor, nn

from satl.config import Model
from satl.losses import contrastive, pair_asymmetric, partial_bce
from satl.methods.base import Context, Hyperparameters, Method, Progress
from satl.models.backbone import Backbone
from satl.models.graph import cooccurrence
from satl.models.graph_net import GraphNet, GraphOutputs


class GraphOptions(Hyperparameters):
    """Hyperparameters of every method on the published network."""

    contrastive_weight: float = Field(
        0.05, ge=0, description="weight of the instance contrastive loss; 0: none"
    )
    warmup: float = Field(
        0.25, ge=0, le=1, description="share of epochs before pseudo-labels or blending"
    )


class PairOptions(GraphOptions):
    """Hyperparameters of methods with a pair head."""

    pair_weight: float = Field(10.0, ge=0, description="weight of the loss on category pairs")


class PrototypeOptions(Hyperparameters):
    """Hyperparameters of methods with k-means prototypes."""

    prototypes: int = Field(10, ge=1, description="K, k-means centres per category")
    bank_size: int = Field(
        100, ge=1, description="newest features of known positives per category behind them"
    )
    renewal: float = Field(
        0.25, gt=0, le=1, description="share of epochs from one renewal of them to the next"
    )


GraphOptionsT = TypeVar("GraphOptionsT", bound=GraphOptions)


class GraphMethod(Method[GraphOptionsT]):
    """Base of methods on `GraphNet`; the graph comes from the observed positives.

    Schedules that are published in epochs out of 20 are shares of the epochs here (epoch 5 of 20
    is `warmup` 0.25), so that a short run goes through the same phases.
    """

    relative_cost = 6.0
    pairs: ClassVar[bool] = False

    def __init__(self, options: GraphOptionsT, context: Context) -> None:
        super().__init__(options, context)
        self.first_epoch = context.first_epoch_after(options.warmup)

    def build_model(self, backbone: Backbone, word_embeddings: Tensor, model: Model) -> nn.Module:
        graph = cooccurrence(self.context.labels)
        return GraphNet(
            backbone, word_embeddings, graph, model.feature_dim, model.attention_dim, self.pairs
        )

    def ramp(self, progress: Progress) -> float:
        """ρ: rises evenly to 1, which it reaches in the last step of the first epoch."""
        done = progress.epoch * self.context.steps_per_epoch + progress.step + 1
        return min(1.0, done / self.context.steps_per_epoch)

    def known_losses(
        self, outputs: GraphOutputs, labels: Tensor, progress: Progress
    ) -> dict[str, Tensor]:
        """BCE on known labels, ρ times instance contrastive, and ρ times pairs if there are."""
        losses = {"known": partial_bce(outputs.logits, labels)}
        if self.options.contrastive_weight:
            weight = self.ramp(progress) * self.options.contrastive_weight
            terms = contrastive(outputs.features, labels, progress.generator)
            losses["contrastive"] = weight * terms
        if self.pairs:
            assert isinstance(self.options, PairOptions), "a method with `pairs` has PairOptions"
            weight = self.ramp(progress) * self.options.pair_weight
            losses["pairs"] = weight * pair_asymmetric(outputs.pair_logits, labels)
        return losses
