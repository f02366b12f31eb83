"""What a table may claim: which methods share the first place, and how they were compared."""

from collections.abc import Sequence

import pandas as pd

from satl.config import Known
from satl.report.inference import Difference
from satl.report.statistics import Comparisons, Scores, equal_to_best

MINUS = "\N{MINUS SIGN}"
NO_VALUE = "\N{EN DASH}"

CLAIM_NOTE = (
    "Bold at the last epoch: the highest, and all that do not differ from it significantly (5 %, "
    "paired by seed and test image, Holm's correction over all pairs of a column; "
    "docs/statistics.md). Each column is a family of tests of its own."
)
PLACE_NOTE = "bold is the best of a column and block, underlined the second, at the decimal shown."
OTHER_EPOCHS_NOTE = f"Other epochs are not tested: {PLACE_NOTE}"
ONE_SEED_NOTE = "Nothing is claimed of differences: one seed cannot tell methods from trainings."
NO_RESAMPLES_NOTE = (
    "Nothing is claimed of differences: it takes two methods with the same two seeds, evaluated "
    "with resamples."
)


def first_places(
    scores: Scores, means: pd.DataFrame, columns: Sequence[Sequence[Known]]
) -> pd.DataFrame | None:
    """Which methods are best, or not significantly worse, in each column.

    Args:
        scores: of the runs.
        means: what the cells show, a row per column of the table and a column per method.
        columns: the known ratios that each column of the table averages.

    Returns:
        Booleans like `means`; None where no column can be tested.
    """
    best = pd.DataFrame(False, index=means.index, columns=means.columns)
    tested = False
    for place, ratios in enumerate(columns):
        shown = means.iloc[place].dropna()
        if shown.empty:
            continue
        equal = equal_to_best(scores, list(shown.index), str(shown.idxmax()), ratios)
        tested = tested or equal is not None
        highest = set(shown.index[shown.round(1) == shown.round(1).max()])
        best.iloc[place] = best.columns.isin(list(equal or highest))
    return best if tested else None


def claim_notes(scores: Scores, claims: bool) -> list[str]:
    """The sentences below a table on what its bold type says."""
    if claims:
        return [CLAIM_NOTE]
    why = ONE_SEED_NOTE if len(scores.seeds) < 2 else NO_RESAMPLES_NOTE
    return [PLACE_NOTE[0].upper() + PLACE_NOTE[1:], why]


def difference_notes(comparisons: Comparisons, known: Sequence[Known]) -> list[str]:
    """The sentences below a table of differences, which average `known`."""
    over = "the average over the known ratios" if len(known) > 1 else "the mAP"
    by = "seed" if isinstance(known[0], str) else "known ratio, seed"
    return [
        f"Difference of {over} at the last epoch to {comparisons.reference}, in points of per "
        f"cent, paired by {by} and test image; 95 % interval of each by itself; "
        "p of no difference, adjusted for the number of methods (Holm). Trainings and test images "
        "count, the choice of known labels does not."
    ]


def signed(value: float, digits: int = 2) -> str:
    """A difference with its sign, which zero has not, or a dash."""
    if pd.isna(value):
        return NO_VALUE
    size = f"{abs(value):.{digits}f}"
    if float(size) == 0:
        return size
    return f"{'+' if value > 0 else MINUS}{size}"


def interval(difference: Difference) -> str:
    """`[+0.10, +1.20]`, or a dash."""
    if pd.isna(difference.low):
        return NO_VALUE
    return f"[{signed(difference.low)}, {signed(difference.high)}]"


def p_text(p: float) -> str:
    """Three decimals, `< 0.001`, or a dash."""
    if pd.isna(p):
        return NO_VALUE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
