"""The page: its numbers are the report's, and it works in a browser without a network."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from satl.report import write_report
from satl.report.comparison_plots import gains_by_category
from satl.report.page import write_page
from satl.report.page.comparisons import _by_category, _difference_rows
from satl.report.page.courses import _trimmed
from satl.report.page.data import page_data
from satl.report.page.numbers import rounded
from satl.report.tables import result_tables
from satl.runs.evaluated import evaluated_runs
from satl.runs.folder import run_keys
from tests.browser import CHROMIUM, browser
from tests.fake_runs import CATEGORIES, EPOCHS, experiment, write_run, write_runs

CONFIG = experiment(seeds=[0, 1, 2], report={"reference": "partial_bce"})
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here (apt install chromium)")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A finished experiment and its page, without the figures, which take long."""
    folder = tmp_path_factory.mktemp("results") / "fake"
    write_runs(CONFIG, folder)
    runs = evaluated_runs(CONFIG, folder)
    tables = {"glyphs": result_tables(CONFIG, "glyphs", runs)}
    write_page(CONFIG, runs, tables, [folder / "summary.csv"], folder / "index.html")
    return folder


@pytest.fixture(scope="module")
def runs(results):
    return evaluated_runs(CONFIG, results)


@pytest.fixture(scope="module")
def tables(runs):
    return {"glyphs": result_tables(CONFIG, "glyphs", runs)}


@pytest.fixture(scope="module")
def data(runs, tables):
    return page_data(CONFIG, runs, tables, ["summary.csv"])


def embedded(page: Path) -> dict:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(), re.S)
    assert found
    return json.loads(found[1])


def test_the_page_holds_this_data(results, data):
    written = embedded(results / "index.html")
    assert written == json.loads(json.dumps(data))


def test_cells_are_those_of_the_table(data, tables):
    shown, table = data["datasets"]["glyphs"]["tables"][0], tables["glyphs"][0]
    for block, expected in zip(shown["blocks"], table.blocks, strict=True):
        cells = [cell for row in expected.rows for cell in row.cells]
        assert block["mean"] == rounded((cell.mean for cell in cells), 4)
        shown_at = [f"{mean:.1f}" for mean in block["mean"] if mean is not None]
        assert shown_at == [f"{cell.mean:.1f}" for cell in cells if not np.isnan(cell.mean)]
        assert block["rank"] == [cell.rank for cell in cells]
    assert set(shown["metrics"]) >= {"mAP_voc2012", "OF1", "CF1"}
    assert "rank" not in shown["metrics"]["OF1"][0]


def test_differences_and_gains_are_those_of_table_and_figure(data, tables, runs):
    shown, table = data["datasets"]["glyphs"]["tables"][0], tables["glyphs"][0]
    average = shown["differences"]["average"]
    rows = table.comparisons.rows
    assert average["methods"] == [row.method for row in rows]
    assert average["low"] == rounded((row.difference.low for row in rows), 5)
    gains = gains_by_category(runs, "partial_bce").set_index(["method", "category"])["mean"]
    by_method = shown["gains"]["average"]
    assert "partial_bce" not in by_method and len(by_method) == 3
    categories = data["datasets"]["glyphs"]["categories"]
    assert by_method["satl"][categories.index("cup")] == round(gains["satl", "cup"], 4)
    assert by_method["satl"][categories.index("toaster")] is None
    assert set(shown["gains"]) == {"0.10", "0.50", "0.90", "average"}


def test_no_number_is_rounded_twice(tables):
    """p is shown at three decimals, as in the table, and a gain at one."""
    row = replace(tables["glyphs"][0].comparisons.rows[0], adjusted=0.45348)
    assert f"{_difference_rows((row,))['p'][0]:.3f}" == "0.453"
    gain = pd.DataFrame({"category": ["cup"], "method": ["satl"], "mean": [0.446]})
    assert f"{_by_category(gain, ['cup'])['satl'][0]:.1f}" == "0.4"


def test_thresholds_and_courses_are_those_of_the_runs(data, runs):
    glyphs = data["datasets"]["glyphs"]
    run = next(r for r in runs if r.key.method == "satl" and r.key.known_ratio == 0.1)
    rows = run.folder.thresholds()
    kite = rows[rows["category"] == "kite"].sort_values("epoch")["tau_pos"]
    courses = glyphs["thresholds"]["satl"]["0.10"]["tau_pos"]
    assert courses[glyphs["categories"].index("kite")] == rounded(kite, 2)
    assert courses[glyphs["categories"].index("toaster")][:2] == [None, None]  # they are infinite
    assert "partial_bce" not in glyphs["thresholds"]
    assert "tau_neg" not in glyphs["thresholds"]["fixed_threshold"]["0.10"]
    course = glyphs["courses"]["satl"]["0.10"]["pseudo_positive_precision"]
    assert len(course["mean"]) == len(course["std"]) == EPOCHS
    assert course["mean"][0] is None and course["mean"][-1] > 0
    assert list(glyphs["courses"]["partial_bce"]["0.10"]) == ["test_mAP"]


def test_score_distributions_keep_their_counts(data, runs):
    glyphs = data["datasets"]["glyphs"]
    assert _trimmed(np.array([0, 0, 0, 2, 1, 1, 0, 0])) == [1, 2, 2]
    run = next(r for r in runs if r.key.method == "satl" and r.key.known_ratio == 0.5)
    rows = run.folder.score_histogram()
    found = glyphs["scores"]["satl"]["0.50"]
    person = rows[(rows["category"] == "person") & (rows["label"] == "hidden_negative")]
    counts = found["labels"]["hidden_negative"][glyphs["categories"].index("person")]
    assert sum(counts[1:]) == person["count"].sum()
    assert (found["low"], found["high"], found["bins"]) == (-9, 9, 40)


def test_an_unfinished_experiment_is_shown_and_says_so(tmp_path):
    for key in run_keys(CONFIG)[:10]:
        write_run(CONFIG, tmp_path, key)
    write_report(CONFIG, tmp_path)
    written = embedded(tmp_path / "index.html")
    assert written["extent"] == "10 of 36 runs"
    assert {"summary.csv", "tables/glyphs.md", "figures/glyphs-map-by-known-ratio.pdf"} <= set(
        written["files"]
    )
    assert all((tmp_path / file).is_file() for file in written["files"])
    links = written["runs"]["folder"]
    assert len(links) == 10 and all((tmp_path / link / "config.yaml").is_file() for link in links)
    for suffix in ("md", "html"):
        table = (tmp_path / "tables" / f"glyphs.{suffix}").read_text()
        assert "mAP (%) on glyphs by share of known labels (10 of 36 runs)" in table
    index = json.loads((tmp_path / "figures" / "index.json").read_text())
    assert index["figures"]
    assert all(entry["title"].endswith("(10 of 36 runs)") for entry in index["figures"])


def test_a_finished_experiment_says_nothing_of_it(results):
    assert embedded(results / "index.html")["extent"] == ""
    table = embedded(results / "index.html")["datasets"]["glyphs"]["tables"][0]
    assert table["caption"] == "mAP (%) on glyphs by share of known labels"


def test_names_cannot_end_the_script(tmp_path):
    odd = "</script><b>"
    ours = experiment(methods={"partial_bce": {}}, known_ratios=[0.5])
    folder = write_run(ours, tmp_path, run_keys(ours)[0])
    record = json.loads((folder / "run.json").read_text())
    record["device"] = odd
    (folder / "run.json").write_text(json.dumps(record))
    write_report(ours, tmp_path)
    assert odd not in (tmp_path / "index.html").read_text()
    assert embedded(tmp_path / "index.html")["runs"]["device"] == [odd]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


CHARTS = "document.querySelectorAll('svg.marks').length"
ROWS = "document.querySelectorAll('#category-table tbody tr').length"


@needs_chromium
@pytest.mark.parametrize(
    ("width", "scheme"), [(1366, "light"), (1366, "dark"), (390, "light"), (390, "dark")]
)
def test_it_opens_without_a_complaint_or_a_request(results, chromium, width, scheme):
    path = results / "index.html"
    chromium.complaints.clear()
    chromium.open(path, width, 12000, scheme)  # high: every chart is in sight and is drawn
    # The chart of results, two of differences, two of thresholds, six distributions, six courses.
    chromium.wait_for(f"{CHARTS} === 17")
    assert chromium.complaints == []
    asked = [url for url in chromium.requests if not url.startswith("data:")]
    assert asked == [path.resolve().as_uri()]
    assert chromium.ask("document.documentElement.scrollWidth") <= width


@needs_chromium
@pytest.mark.parametrize(
    "changes",
    [
        {"known_ratios": [0.5]},  # one seed, one ratio: neither intervals nor lines
        {"known_ratios": [0.1, 0.5], "observe": {"single_positive": {}}, "seeds": [0, 1]},
    ],
)
def test_it_shows_other_settings_and_single_ones(tmp_path, chromium, changes):
    ours = experiment(**changes)
    write_runs(ours, tmp_path)
    runs = evaluated_runs(ours, tmp_path)
    tables = {"glyphs": result_tables(ours, "glyphs", runs)}
    write_page(ours, runs, tables, [], tmp_path / "index.html")
    chromium.complaints.clear()
    chromium.open(tmp_path / "index.html", height=12000)
    chromium.wait_for(f"{CHARTS} >= 16")
    heads = "[...document.querySelectorAll('#table thead th')].map((cell) => cell.innerText)"
    assert chromium.ask(heads) == ["method", *tables["glyphs"][0].headings]
    assert chromium.complaints == []


@needs_chromium
def test_the_table_of_a_setting_is_that_of_the_report(tmp_path, chromium):
    ours = experiment(known_ratios=[0.1], observe="single_positive", seeds=[0, 1])
    write_runs(ours, tmp_path)
    runs = evaluated_runs(ours, tmp_path)
    _, setting = tables = result_tables(ours, "glyphs", runs)
    write_page(ours, runs, {"glyphs": tables}, [], tmp_path / "index.html")
    chromium.complaints.clear()
    chromium.open(tmp_path / "index.html", height=12000)
    chromium.ask(
        "const box = document.querySelector('#which select'); box.value = 'glyphs-single_positive';"
        "box.dispatchEvent(new Event('change'))"
    )
    heads = "[...document.querySelectorAll('#table thead th')].map((cell) => cell.innerText)"
    assert chromium.ask(heads) == ["method", *setting.headings]
    row = "[...document.querySelectorAll('#table tbody tr')[1].cells].map((cell) => cell.innerText)"
    shown = [text.replace(" ", "") for text in chromium.ask(row)]
    method = setting.blocks[0].rows[1]
    assert shown == [method.method, *(cell.text.replace(" ", "") for cell in method.cells)]
    choices = "document.querySelectorAll('#epochs .controls button').length"
    assert chromium.ask(choices) == 0, "the setting is the only one of its table"
    chromium.wait_for("document.querySelectorAll('#courses svg.marks').length === 6")
    assert chromium.complaints == []


@needs_chromium
def test_the_first_chart_is_there_within_two_seconds(results, chromium):
    def milliseconds():
        chromium.open(results / "index.html")
        chromium.wait_for("'drawn' in document.documentElement.dataset")
        return int(chromium.ask("document.documentElement.dataset.drawn"))

    # The machine may be busy with other tests: one quick load of several is enough.
    assert any(milliseconds() < 2000 for _ in range(5))


@needs_chromium
def test_tables_are_sorted_by_a_click(results, chromium):
    chromium.open(results / "index.html")
    names = "[...document.querySelectorAll('#table tbody th')].map((cell) => cell.textContent)"
    assert chromium.ask(names) == list(CONFIG.methods)
    chromium.ask("document.querySelector('#table thead th:last-child button').click()")
    values = "[...document.querySelectorAll('#table tbody tr td:last-child')].map(parseFloat)"
    values = values.replace("map(parseFloat)", "map((cell) => parseFloat(cell.textContent))")
    found = chromium.ask(values)
    assert found == sorted(found, reverse=True)
    chromium.ask("document.querySelector('#table thead th:last-child button').click()")
    assert chromium.ask(values) == found[::-1]


@needs_chromium
def test_categories_are_searched_and_marked(results, chromium):
    chromium.open(results / "index.html", height=12000)
    chromium.wait_for(f"{CHARTS} === 17")
    assert chromium.ask(ROWS) == len(CATEGORIES)
    chromium.ask(
        "const box = document.querySelector('#categories input'); box.value = 'KITE';"
        "box.dispatchEvent(new Event('input'))"
    )
    assert chromium.ask(ROWS) == 1
    chromium.ask("document.querySelector('#category-table tbody tr').click()")
    assert chromium.ask("location.hash").endswith("marked=kite&category=KITE")
    chromium.wait_for("document.querySelectorAll('#distributions svg.marks').length === 1")
    colour = "document.querySelectorAll('#tau_pos [stroke=\"#d1495b\"]').length"
    chromium.wait_for(f"{colour} === 1")


@needs_chromium
def test_a_hidden_method_is_in_no_chart_and_no_table(results, chromium):
    chromium.open(results / "index.html", height=12000)
    chromium.wait_for(f"{CHARTS} === 17")
    chromium.ask("document.querySelector('#methods .chip').click()")
    named = "document.querySelector('#results').textContent.includes('satl')"
    chromium.wait_for(f"!{named}")
    chromium.ask("document.querySelector('#methods .chip').click()")
    chromium.wait_for(named)


@needs_chromium
def test_an_unfinished_page_says_so(tmp_path, chromium):
    write_run(CONFIG, tmp_path, run_keys(CONFIG)[0])
    write_report(CONFIG, tmp_path)
    chromium.complaints.clear()
    chromium.open(tmp_path / "index.html", height=12000)
    chromium.wait_for(f"{CHARTS} > 5")
    assert "1 of 36 runs" in chromium.ask("document.querySelector('#incomplete').innerText")
    assert "(1 of 36 runs)" in chromium.ask("document.querySelector('#results h3').innerText")
    assert chromium.complaints == []
