"""ML-GCN: partial BCE on classifiers that co-occurrence ties together (Chen et al., CVPR 2019).

The paper trains with all labels known. As in the comparisons of SST and SARB, the loss is
restricted to the known ones, and so is the co-occurrence that the graph is built from.
"""

from pydantic import Field
from torch import Tensor, nn

from satl.config import Model
from satl.losses import partial_bce
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.backbone import Backbone
from satl.models.gcn import GCNModel, correlation_matrix, normalised_adjacency
from satl.models.outputs import Outputs


class MLGCNOptions(Hyperparameters):
    """Hyperparameters of ML-GCN; the defaults are the paper's."""

    threshold: float = Field(
        0.4, gt=0, le=1, description="t, co-occurrence P(j | i) from which on an edge stands"
    )
    neighbour_weight: float = Field(
        0.2, ge=0, lt=1, description="p, weight of a category's neighbours; it keeps 1 - p itself"
    )
    hidden_dim: int = Field(1024, ge=1, description="width between the two graph convolutions")


class MLGCN(Method[MLGCNOptions]):
    """Partial BCE on a network of its own, which shares only the backbone with the others."""

    def build_model(self, backbone: Backbone, word_embeddings: Tensor, model: Model) -> nn.Module:
        options = self.options
        correlation = correlation_matrix(
            self.context.labels, options.threshold, options.neighbour_weight
        )
        adjacency = normalised_adjacency(correlation)
        return GCNModel(backbone, adjacency, word_embeddings, options.hidden_dim)

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        return StepResult({"known": partial_bce(outputs.logits, labels)})
