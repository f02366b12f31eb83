"""The results as one interactive page, index.html: made of run folders, opened without a network.

The page holds its data as JSON (`data`), Vega-Lite, which draws its charts, and the files of
static/: page.html with page.css and the scripts, which are one module in the order of SCRIPTS.
All numbers are computed here, in Python, by what the tables and figures use; scripts show them.
"""

import html
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from satl.config import Experiment
from satl.core.files import write_text
from satl.report.page.data import page_data
from satl.report.table import Table
from satl.runs.evaluated import Run

STATIC = Path(__file__).parent / "static"
SCRIPTS = (
    "state.js",
    "tables.js",
    "charts.js",
    "results.js",
    "categories.js",
    "runs.js",
    "main.js",
)


def write_page(
    experiment: Experiment,
    runs: list[Run],
    tables: Mapping[str, list[Table]],
    made: Sequence[Path],
    path: Path,
) -> None:
    """Write the page to `path`, results/NAME/index.html.

    Args:
        experiment: the experiment.
        runs: its evaluated runs.
        tables: of each data set, as `satl.report.tables` makes them.
        made: the files of this report that the page links to, in its own folder or below.
        path: of the page. The same runs give the same bytes.
    """
    files = [file.relative_to(path.parent).as_posix() for file in made]
    write_text(path, _html(page_data(experiment, runs, tables, files)))


def _html(data: dict[str, Any]) -> str:
    parts = {
        "title": html.escape(data["name"]),
        "style": _static("page.css"),
        "data": _json(data),
        "vega": _vega().replace("</script", "<\\/script"),
        "script": "\n".join(map(_static, SCRIPTS)),
    }
    return re.sub(r"\{\{ (\w+) \}\}", lambda found: parts[found[1]], _static("page.html"))


def _json(data: dict[str, Any]) -> str:
    """Without `<`, as the name of a category must not end the element that holds it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


@cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script without imports."""
    import vl_convert  # not at the top: it loads a whole JavaScript engine

    return vl_convert.javascript_bundle()  # type: ignore[call-arg]  # has a default


def _static(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
