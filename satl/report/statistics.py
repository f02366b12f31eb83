"""Which differences between methods are real: the runs of a data set, compared pair by pair."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from satl.config import Known
from satl.report.inference import SIGNIFICANCE, Difference, difference, holm
from satl.runs.evaluated import Run

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Last-epoch mAP (per cent) of the runs of one data set, by (method, known ratio, seed).

    `resampled` holds it under resampled test images, (R,), for the runs that have this.
    """

    values: dict[tuple[str, Known, int], float]
    resampled: dict[tuple[str, Known, int], Floats]

    @property
    def seeds(self) -> list[int]:
        """All seeds that occur."""
        return sorted({seed for _, _, seed in self.values})

    def paired(
        self, first: str, second: str, ratios: Sequence[Known]
    ) -> tuple[Floats, Floats | None]:
        """Differences `first` - `second`, of the seeds both have completely.

        Returns:
            (S, ratios), and their mean over `ratios` under resampled images, (S, R); None where
            these are not known.
        """
        seeds = [
            seed
            for seed in self.seeds
            if all((m, r, seed) in self.values for m in (first, second) for r in ratios)
        ]
        keys = [[((first, r, seed), (second, r, seed)) for r in ratios] for seed in seeds]
        values = np.array([[self.values[a] - self.values[b] for a, b in row] for row in keys])
        needed = {key for row in keys for pair in row for key in pair}
        if not needed or not needed <= self.resampled.keys():
            return values, None
        # The first resamples are the same, whatever the number with which a run was evaluated.
        common = min(len(self.resampled[key]) for key in needed)
        draws = {key: self.resampled[key][:common].astype(float) for key in needed}
        resampled = np.stack(
            [np.mean([draws[a] - draws[b] for a, b in row], axis=0) for row in keys]
        )
        return values, resampled[:, np.isfinite(resampled).all(axis=0)]

    def compare(self, first: str, second: str, ratios: Sequence[Known]) -> Difference:
        """`first` - `second`, averaged over `ratios`, paired by ratio, seed and test image."""
        return difference(*self.paired(first, second, ratios))


@dataclass(frozen=True)
class Comparison:
    """A method and its difference to the reference; `adjusted` is p after Holm's correction."""

    method: str
    difference: Difference
    adjusted: float


@dataclass(frozen=True)
class Comparisons:
    """Methods compared with `reference`, on the average over all known ratios."""

    reference: str
    rows: tuple[Comparison, ...]

    @property
    def are_claims(self) -> bool:
        """Whether there are intervals and p-values, which takes several seeds."""
        return any(not np.isnan(row.difference.p) for row in self.rows)


def scores_of(runs: Iterable[Run]) -> Scores:
    """What the evaluated `runs` of one data set say of the last epoch."""
    values, resampled = {}, {}
    for run in runs:
        key = (run.key.method, run.key.known_ratio, run.key.seed)
        score = run.metrics["selections"]["last"]["mAP"]
        if score is not None:
            values[key] = float(score)
            draws = run.folder.resampled_map()
            if draws is not None:
                resampled[key] = draws
    return Scores(values, resampled)


def reference_of(wanted: str | None, methods: Sequence[str]) -> str:
    """The one of `methods` that the others are compared with: `wanted`, or else the first."""
    return wanted if wanted is not None and wanted in methods else methods[0]


def compared(
    scores: Scores, methods: Sequence[str], reference: str, ratios: Sequence[Known]
) -> Comparisons:
    """Each of `methods` but `reference` compared with it; p adjusted for their number."""
    others = [method for method in methods if method != reference]
    found = [scores.compare(method, reference, ratios) for method in others]
    adjusted = holm([one.p for one in found])
    rows = zip(others, found, map(float, adjusted), strict=True)
    return Comparisons(reference, tuple(Comparison(*row) for row in rows))


def equal_to_best(
    scores: Scores, methods: Sequence[str], best: str, ratios: Sequence[Known]
) -> set[str] | None:
    """`best` and those of `methods` that do not differ from it significantly.

    All pairs count in Holm's correction: which method is best is seen in the same numbers, and
    comparisons with the best alone would find a winner too often.

    Returns:
        None where no pair can be tested.
    """
    pairs = list(combinations(methods, 2))
    adjusted = holm([scores.compare(a, b, ratios).p for a, b in pairs])
    if np.isnan(adjusted).all():
        return None
    differ = {pair for pair, p in zip(pairs, adjusted, strict=True) if p < SIGNIFICANCE}
    return {m for m in methods if (m, best) not in differ and (best, m) not in differ}
