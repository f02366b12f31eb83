"""SATL: Semantic-Aware Threshold Learning, in our reading of its abstract (arXiv 2507.23263).

The equations of the paper (Expert Systems with Applications, 2026) were not at hand; what each
piece is, and why, stands in docs/methods.md. Every piece can be replaced by an option.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator
from torch import Tensor

from satl.losses import bce_terms, differential_ranking
from satl.methods.base import Context, Hyperparameters, Method, Progress, StepResult
from satl.models.outputs import Outputs
from satl.threshold_rules import RULES, known_rule
from satl.thresholds import ScoreStatistics, pseudo_labels


class SATLOptions(Hyperparameters):
    """Hyperparameters of SATL."""

    rule: Annotated[str, AfterValidator(known_rule)] = Field(
        "posterior",
        description="how thresholds are read off the score distributions",
        json_schema_extra={"enum": [*RULES]},
    )
    q: float = Field(
        0.95,
        gt=0.5,
        lt=1,
        description="certainty that a threshold asks for; by default 0.9 for rule fixed",
    )
    warmup: float = Field(0.2, ge=0, le=1, description="share of epochs before pseudo-labels")
    pseudo_weight: float = Field(0.3, ge=0, description="λ, weight of pseudo-labels; 0: none")
    ranking_weight: float = Field(1.0, ge=0, description="w, weight of the ranking loss; 0: none")
    strong_view: bool = Field(
        False,
        description="whether the loss of pseudo-labels is that of a strongly augmented view; they "
        "are made of the ordinary one all the same",
    )

    @model_validator(mode="before")
    @classmethod
    def _certainty_of_fixed(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {"q": 0.9, **given} if given.get("rule") == "fixed" else given


class SATL(Method[SATLOptions]):
    """Category-specific thresholds that learn from score distributions, plus a ranking loss."""

    labels: Tensor  # (N, C) int8

    def __init__(self, options: SATLOptions, context: Context) -> None:
        super().__init__(options, context)
        self.register_buffer("labels", context.labels, persistent=False)
        self.first_pseudo_epoch = context.first_epoch_after(options.warmup)
        # One epoch of memory.
        decay = 1 - 1 / context.steps_per_epoch
        self.statistics = ScoreStatistics(len(context.categories), decay)

    @classmethod
    def wants_strong_view(cls, options: SATLOptions) -> bool:
        return options.strong_view

    def step(self, outputs: Outputs, labels: Tensor, progress: Progress) -> StepResult:
        self.statistics.update(outputs.logits, labels)
        # The divisor stays the number of *known* entries when pseudo-labels join: dividing by
        # all that count would shrink the gradient abruptly in the epoch where they begin.
        known = (labels != 0).sum().clamp(min=1)
        losses = {"known": bce_terms(outputs.logits, labels).sum() / known}
        if self.options.ranking_weight:
            losses["ranking"] = self.options.ranking_weight * differential_ranking(
                outputs.logits, labels
            )
        if not self.options.pseudo_weight or progress.epoch < self.first_pseudo_epoch:
            return StepResult(losses)
        thresholds = RULES[self.options.rule](self.statistics, self.options.q)
        pseudo = pseudo_labels(outputs.logits, labels, thresholds)
        terms = bce_terms((outputs.strong or outputs).logits, pseudo).sum()
        losses["pseudo"] = self.options.pseudo_weight * terms / known
        return StepResult(losses, pseudo)

    def end_epoch(self, epoch: int, logits: Tensor) -> None:
        self.statistics.epoch.end(logits, self.labels)

    def thresholds(self) -> dict[str, Tensor]:
        thresholds = RULES[self.options.rule](self.statistics, self.options.q)
        moments = self.statistics.moments()
        return {
            "tau_pos": thresholds.pos,
            "tau_neg": thresholds.neg,
            "mu_pos": moments.mu_pos,
            "sigma_pos": moments.var_pos.sqrt(),
            "n_pos": moments.n_pos,
            "mu_neg": moments.mu_neg,
            "sigma_neg": moments.var_neg.sqrt(),
            "n_neg": moments.n_neg,
        }
