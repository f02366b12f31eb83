"""The blocks of the table of one setting: of each method the mAP, and more beside it."""

from satl.config import Experiment, Shown
from satl.config.shown import TUNED
from satl.report.blocks import SELECTION_TITLES, blocks_of, runs_of_blocks
from satl.report.claims import NO_VALUE, interval, p_text, signed
from satl.report.statistics import Comparison, Comparisons, compared, scores_of
from satl.report.table import Block, Cell, Row
from satl.runs.evaluated import Run, has_truth

METRICS = {"OF1": "OF1", "CF1": "CF1"}
PSEUDO_LABELS = {
    "pseudo_positive_precision": "PL precision",
    "pseudo_positive_recall": "PL recall",
}
MARK_NOTE = (
    "OF1, CF1: the harmonic mean of precision and recall over all labels, and of their means over "
    "the categories, at the threshold 0.5. Only the mAP is tested and marked."
)
PSEUDO_LABEL_NOTE = (
    "PL: positive pseudo-labels of the same epoch, compared with the labels that were hidden; "
    "methods that made none have no value."
)


def setting_blocks(
    experiment: Experiment,
    shown: Shown,
    runs: list[Run],
    marked: list[Block],
    comparisons: Comparisons,
) -> tuple[dict[str, str], list[Block]]:
    """The headings of the columns by name, and the blocks, of the table of one setting.

    Args:
        experiment: the experiment.
        shown: with a `setting`.
        runs: the evaluated runs of the data set.
        marked: `blocks_of` the mAP, with first places marked. Epochs chosen otherwise are no
            blocks here, but columns.
        comparisons: of the first block.
    """
    is_tuned = shown.group == TUNED
    blocks, others = (marked, []) if is_tuned else (marked[:1], marked[1:])
    more, claims = more_metrics(shown, runs), comparisons.are_claims
    by_metric = [blocks_of(experiment, shown, runs, name) for name in more]
    runs_of = runs_of_blocks(experiment, shown, runs)
    headings = {
        "mAP": "mAP",
        **more,
        **(_difference_headings(comparisons.reference) if claims else {}),
        **{f"mAP_{block.name}": f"mAP, {SELECTION_TITLES[block.name]}" for block in others},
    }
    wide = []
    for at, block in enumerate(blocks):
        columns = [
            _cells(block) if at == 0 else _unmarked(block),
            *(_unmarked(of_metric[at]) for of_metric in by_metric),
            *(_differences(shown, runs_of[block.name], comparisons.reference) if claims else []),
            *map(_unmarked, others),
        ]
        rows = map(Row, shown.methods, zip(*columns, strict=True))
        wide.append(Block(block.name, block.title, tuple(rows)))
    return headings, wide


def more_metrics(shown: Shown, runs: list[Run]) -> dict[str, str]:
    """Headings of what is told beside the mAP; pseudo-labels only where any can be judged."""
    of_setting = [run for run in runs if run.key.known_ratio in shown.known and has_truth(run)]
    judged = {
        name
        for run in of_setting
        if run.key.method in shown.methods
        for line in run.metrics.get("epochs", [])
        for name in PSEUDO_LABELS
        if line.get(name) is not None
    }
    return METRICS | {name: PSEUDO_LABELS[name] for name in PSEUDO_LABELS if name in judged}


def setting_notes(shown: Shown, runs: list[Run]) -> list[str]:
    """What the columns beside the mAP are."""
    judged = more_metrics(shown, runs).keys() - METRICS.keys()
    return [MARK_NOTE, *([PSEUDO_LABEL_NOTE] if judged else [])]


def _difference_headings(reference: str) -> dict[str, str]:
    return {"difference": f"difference to {reference}", "p_holm": "p (Holm)"}


def _differences(shown: Shown, runs: list[Run], reference: str) -> list[list[Cell]]:
    """The differences with their intervals, and the p-values; a dash for the reference."""
    rows = compared(scores_of(runs), shown.methods, reference, shown.known).rows
    by_method = {row.method: row for row in rows}
    found = [by_method.get(method) for method in shown.methods]
    return [[_difference_cell(row) for row in found], [_p_cell(row) for row in found]]


def _difference_cell(row: Comparison | None) -> Cell:
    if row is None:
        return Cell(float("nan"), written=NO_VALUE)
    one = row.difference
    return Cell(one.mean, written=f"{signed(one.mean)} {interval(one)}")


def _p_cell(row: Comparison | None) -> Cell:
    if row is None:
        return Cell(float("nan"), written=NO_VALUE)
    return Cell(row.adjusted, written=p_text(row.adjusted))


def _cells(block: Block) -> list[Cell]:
    """Of a block with a single column."""
    return [row.cells[0] for row in block.rows]


def _unmarked(block: Block) -> list[Cell]:
    """None of these is tested."""
    return [Cell(cell.mean, cell.std, cell.runs) for cell in _cells(block)]
