"""SSGRL: partial BCE on semantic decoupling and a gated graph (Chen et al., ICCV 2019).

The paper trains with all labels known. As in the comparisons of SST and SARB, the loss is
restricted to the known ones, and so is the co-occurrence that the graph is built from. SST, SARB
and HST add their losses to this network, so it is what they should be compared with.
"""

from torch import Tensor, nn

from satl.config import Model
from satl.losses import partial_bce
from satl.methods.base import Hyperparameters, Method, Progress, StepResult
from satl.models.backbone import Backbone
from satl.models.graph import cooccurrence
from satl.models.graph_net import GraphNet
from satl.models.outputs import Outputs


class SSGRL(Method[Hyperparameters]):
    """Partial BCE on semantic decoupling with a gated graph behind it."""

    relative_cost = 4.0

    def build_model(self, backbone: Backbone, word_embeddings: Tensor, model: Model) -> nn.Module:
        adjacency = cooccurrence(self.context.labels)
        return GraphNet(
            backbone, word_embeddings, adjacency, model.feature_dim, model.attention_dim
        )

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        return StepResult({"known": partial_bce(outputs.logits, labels)})
