"""Average ranks of methods and their critical difference (Demšar, JMLR 7, 2006)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from satl.report.inference import SIGNIFICANCE
from satl.report.statistics import Scores


@dataclass(frozen=True)
class Ranks:
    """Average ranks (1 is the best) over blocks, by method, the best first.

    Attributes:
        mean: by method.
        blocks: how many (known ratio, seed) were ranked.
        p: of Friedman's test that all methods are equal.
        critical: average ranks that are closer than this do not differ, by Nemenyi's test.
    """

    mean: pd.Series
    blocks: int
    p: float
    critical: float

    def cliques(self) -> list[tuple[str, str]]:
        """The longest runs of methods that do not differ, as (best, worst); no run of one."""
        names, values = list(self.mean.index), self.mean.to_numpy()
        ends = np.searchsorted(values, values + self.critical) - 1
        runs = [
            (start, end)
            for start, end in enumerate(ends)
            if end > start and (start == 0 or end > ends[start - 1])
        ]
        return [(names[start], names[end]) for start, end in runs]


def average_ranks(scores: Scores, methods: list[str]) -> Ranks | None:
    """Ranks of `methods` over all blocks; those without a single run are left out.

    None where less than three methods or two seeds are there, or where runs are missing.
    """
    present = [m for m in methods if any(key[0] == m for key in scores.values)]
    blocks = dict.fromkeys(key[1:] for key in scores.values if key[0] in present)
    table = np.array([[scores.values.get((m, *b), np.nan) for m in present] for b in blocks])
    if len(present) < 3 or len({seed for _, seed in blocks}) < 2 or np.isnan(table).any():
        return None
    mean = pd.Series(rankdata(-table, axis=1).mean(axis=0), present)
    spread = np.sqrt(len(present) * (len(present) + 1) / (6 * len(blocks)))
    quantile = studentized_range.ppf(1 - SIGNIFICANCE, len(present), np.inf) / np.sqrt(2)
    equal = bool((table == table[:, :1]).all())
    p = 1.0 if equal else float(friedmanchisquare(*table.T).pvalue)
    return Ranks(mean.sort_values(kind="stable"), len(blocks), p, float(quantile * spread))
