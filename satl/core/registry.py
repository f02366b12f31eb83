"""Which methods there are, by the name that configs use. Importing this imports no method."""

from importlib import import_module

METHODS: dict[str, str] = {
    "satl": "satl.methods.satl:SATL",
    "fixed_threshold": "baselines.fixed_threshold:FixedThreshold",
    "partial_bce": "baselines.partial_bce:PartialBCE",
    "assume_negative": "baselines.assume_negative:AssumeNegative",
    "balanced_bce": "baselines.balanced_bce:BalancedBCE",
    "ranking_only": "baselines.ranking_only:RankingOnly",
    "curriculum_labeling": "baselines.curriculum_labeling:CurriculumLabeling",
    "ml_gcn": "baselines.ml_gcn:MLGCN",
    "ssgrl": "baselines.ssgrl:SSGRL",
    "sst": "baselines.sst:SST",
    "sarb": "baselines.sarb:SARB",
    "hst": "baselines.hst:HST",
    "dsrb": "baselines.dsrb:DSRB",
}


def method_class(name: str) -> type:
    """The class of a registered method (a subclass of `satl.methods.base.Method`)."""
    module, _, attribute = METHODS[name].partition(":")
    return getattr(import_module(module), attribute)
