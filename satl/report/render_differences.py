"""The differences to the reference as Markdown, LaTeX, CSV and HTML: one function per format."""

import html
from collections.abc import Callable

import pandas as pd

from satl.report.claims import interval, p_text, signed
from satl.report.statistics import Comparison, Comparisons

HEADINGS = ("method", "difference", "95 % interval", "p (Holm)")


def cells_of(row: Comparison) -> list[str]:
    """What a row shows right of the method's name."""
    one = row.difference
    return [signed(one.mean), interval(one), p_text(row.adjusted)]


def title(comparisons: Comparisons) -> str:
    """What stands above the differences."""
    return f"Differences to {comparisons.reference}"


def markdown(comparisons: Comparisons, escape: Callable[[str], str]) -> list[str]:
    """Lines of GitHub's Markdown."""
    lines = [f"### {escape(title(comparisons))}", "", "| " + " | ".join(HEADINGS) + " |"]
    lines.append("| :-- | --: | --: | --: |")
    for row in comparisons.rows:
        cells = [escape(cell) for cell in (row.method, *cells_of(row))]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def latex(comparisons: Comparisons, escape: Callable[[str], str]) -> list[str]:
    """Lines of a second tabular, below the first."""
    lines = [
        r"\medskip", "", r"\begin{tabular}{lrrr}", r"\toprule",
        " & ".join(map(escape, HEADINGS)) + r" \\", r"\midrule",
        rf"\multicolumn{{4}}{{l}}{{\itshape {escape(title(comparisons))}}} \\",
    ]  # fmt: skip
    for row in comparisons.rows:
        lines.append(" & ".join(map(escape, (row.method, *cells_of(row)))) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}", ""]


def page(comparisons: Comparisons) -> str:
    """A second HTML table."""
    head = "".join(f'<th scope="col">{name}</th>' for name in HEADINGS)
    rows = []
    for row in comparisons.rows:
        values = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells_of(row))
        rows.append(f'<tr><th scope="row">{html.escape(row.method)}</th>{values}</tr>')
    return (
        f'<h2>{html.escape(title(comparisons))}</h2>\n<div class="wide">\n<table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>\n"
        "</div>\n"
    )


def csv(dataset: str, comparisons: Comparisons) -> str:
    """One line per method; no value is an empty field."""
    rows = [
        {
            "dataset": dataset, "method": row.method, "reference": comparisons.reference,
            "difference": row.difference.mean, "low": row.difference.low,
            "high": row.difference.high, "p": row.difference.p, "p_holm": row.adjusted,
        }
        for row in comparisons.rows
    ]  # fmt: skip
    columns = ["dataset", "method", "reference", "difference", "low", "high", "p", "p_holm"]
    return pd.DataFrame(rows, columns=columns).to_csv(
        index=False, float_format="%.6f", lineterminator="\n"
    )
