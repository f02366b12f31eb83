"""A `Table` as Markdown, LaTeX, CSV and HTML: one short function per format, no logic."""

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from satl.report import render_differences
from satl.report.claims import MINUS, NO_VALUE
from satl.report.table import Cell, Table

LATEX_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", NO_VALUE: "--", MINUS: "$-$", "<": r"\textless{}",
}  # fmt: skip
MARKDOWN_SPECIAL = {mark: f"\\{mark}" for mark in "\\`*_|<>[]"}

STYLE = """
:root { color-scheme: light dark; --ink: #1c2128; --faint: #667080; --line: #d5dae1;
        --paper: #ffffff; --band: #f3f5f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e7ec; --faint: #939dab; --line: #38404b; --paper: #14181d; --band: #1d232a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 84rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.3rem; font-weight: 600; }
h2 { font-size: 1.05rem; font-weight: 600; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .5rem; text-align: right; white-space: nowrap; font-weight: 400; }
th:first-child { text-align: left; }
thead th { border-bottom: 2px solid var(--line); color: var(--faint); }
tbody tr.block th { background: var(--band); color: var(--faint); font-size: .85rem; }
tbody tr:hover td, tbody tr:hover th { background: var(--band); }
tbody:last-child tr:last-child > * { border-bottom: 2px solid var(--line); }
sup { color: var(--faint); font-size: .7em; }
ol { color: var(--faint); font-size: .85rem; margin-top: 1.25rem; padding-left: 1.25rem; }
"""


def markdown(table: Table) -> str:
    """GitHub's Markdown, a table a block; `<ins>` is what GitHub underlines."""
    lines = [f"## {_escape(table.caption, MARKDOWN_SPECIAL)}", ""]
    headings = [_escape(heading, MARKDOWN_SPECIAL) for heading in table.headings]
    for block in table.blocks:
        lines += [f"### {block.title}", "", _pipes(["method", *headings])]
        lines += [_pipes([":--", *["--:"] * len(table.columns)])]
        for row in block.rows:
            note = f"<sup>{row.note}</sup>" if row.note else ""
            texts = [_escape(cell.text, MARKDOWN_SPECIAL) for cell in row.cells]
            cells = _marked(texts, row.cells, "**{}**", "<ins>{}</ins>")
            lines.append(_pipes([_escape(row.method, MARKDOWN_SPECIAL) + note, *cells]))
        lines.append("")
    if table.has_differences_below:
        lines += render_differences.markdown(
            table.comparisons, lambda text: _escape(text, MARKDOWN_SPECIAL)
        )
    notes = enumerate(table.notes, start=1)
    lines += [f"{number}. {_escape(note, MARKDOWN_SPECIAL)}" for number, note in notes]
    return "\n".join(lines) + "\n"


def latex(table: Table) -> str:
    """A `table` environment for \\input; it needs the package booktabs."""
    width = len(table.columns) + 1
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}[t]", r"\centering", r"\small", r"\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{_escape(table.caption, LATEX_SPECIAL)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}", r"\toprule",
        _ampersands(["method", *(_escape(name, LATEX_SPECIAL) for name in table.headings)]),
    ]  # fmt: skip
    for block in table.blocks:
        lines += [r"\midrule", rf"\multicolumn{{{width}}}{{l}}{{\itshape {block.title}}} \\"]
        for row in block.rows:
            note = rf"\textsuperscript{{{row.note}}}" if row.note else ""
            texts = [_escape(cell.text, LATEX_SPECIAL) for cell in row.cells]
            cells = _marked(texts, row.cells, r"\textbf{{{}}}", r"\underline{{{}}}")
            lines.append(_ampersands([_escape(row.method, LATEX_SPECIAL) + note, *cells]))
    lines += [r"\bottomrule", r"\end{tabular}", ""]
    if table.has_differences_below:
        lines += render_differences.latex(
            table.comparisons, lambda text: _escape(text, LATEX_SPECIAL)
        )
    lines.append(r"\medskip")
    lines += [r"\begin{minipage}{\linewidth}\footnotesize"]
    lines += [
        rf"\textsuperscript{{{number}}}~{_escape(note, LATEX_SPECIAL)}\par"
        for number, note in enumerate(table.notes, start=1)
    ]
    return "\n".join([*lines, r"\end{minipage}", r"\end{table}"]) + "\n"


def csv(table: Table) -> str:
    """In per cent; no value is an empty field.

    Of known ratios: tidy, one line a cell. Of a setting: one line a method, `runs` of the mAP, and
    the deviations as columns of their own; intervals are in the CSV of differences.
    """
    lines = _lines_of_ratios(table) if table.shown.setting is None else _lines_of_setting(table)
    return pd.DataFrame(lines).to_csv(index=False, float_format="%.4f", lineterminator="\n")


def _lines_of_ratios(table: Table) -> list[dict[str, Any]]:
    return [
        {
            "dataset": table.dataset, "selection": block.name, "method": row.method,
            "known_ratio": column, "mAP": cell.mean, "std": cell.std, "runs": cell.runs,
            "source": row.source,
        }
        for block in table.blocks
        for row in block.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    ]  # fmt: skip


def _lines_of_setting(table: Table) -> list[dict[str, Any]]:
    lines = []
    for block in table.blocks:
        for row in block.rows:
            line: dict[str, Any] = {
                "dataset": table.dataset, "selection": block.name, "method": row.method,
                "known_ratio": table.shown.setting, "runs": row.cells[0].runs,
            }  # fmt: skip
            for column, cell in zip(table.columns, row.cells, strict=True):
                line[column] = cell.mean
                if cell.written is None:
                    line[f"{column}_std"] = cell.std
            lines.append(line)
    return lines


def page(table: Table) -> str:
    """A self-contained HTML page, for light and dark screens."""
    bodies = []
    for block in table.blocks:
        rows = [f'<tr class="block"><th colspan="{len(table.columns) + 1}">{block.title}</th></tr>']
        for row in block.rows:
            note = f"<sup>{row.note}</sup>" if row.note else ""
            texts = [html.escape(cell.text) for cell in row.cells]
            cells = _marked(texts, row.cells, "<b>{}</b>", "<u>{}</u>")
            values = "".join(f"<td>{cell}</td>" for cell in cells)
            rows.append(f'<tr><th scope="row">{html.escape(row.method)}{note}</th>{values}</tr>')
        bodies.append("<tbody>\n" + "\n".join(rows) + "\n</tbody>")
    shown = map(html.escape, ("method", *table.headings))
    headings = "".join(f'<th scope="col">{name}</th>' for name in shown)
    notes = "\n".join(f"<li>{html.escape(note)}</li>" for note in table.notes)
    caption = html.escape(table.caption)
    below = table.has_differences_below
    differences = render_differences.page(table.comparisons) if below else ""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{caption}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{caption}</h1>\n"
        f'<div class="wide">\n<table>\n<thead><tr>{headings}</tr></thead>\n'
        + "\n".join(bodies)
        + f"\n</table>\n</div>\n{differences}<ol>\n{notes}\n</ol>\n</body>\n</html>\n"
    )


RENDERERS: dict[str, Callable[[Table], str]] = {
    "md": markdown, "tex": latex, "csv": csv, "html": page,
}  # fmt: skip


def _marked(texts: list[str], cells: Sequence[Cell], best: str, second: str) -> list[str]:
    """`texts` of `cells`, each in the format's template for its rank."""
    templates = [{1: best, 2: second}.get(cell.rank, "{}") for cell in cells]
    return [template.format(text) for template, text in zip(templates, texts, strict=True)]


def _escape(text: str, special: Mapping[str, str]) -> str:
    return text.translate({ord(sign): written for sign, written in special.items()})


def _pipes(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _ampersands(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
