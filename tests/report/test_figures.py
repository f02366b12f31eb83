"""The whole report: which files it writes, and that the same runs give the same bytes."""

import json
import logging
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from satl.core.errors import UserError
from satl.report import write_report
from satl.report.figures import write_figures
from satl.report.plot_map import map_figure, spread
from satl.report.plot_scores import score_figure
from satl.report.plot_thresholds import threshold_figure
from satl.report.style import line_styles, lowest_middle_highest
from satl.runs.evaluated import evaluated_runs
from satl.runs.fingerprint import name_of
from satl.runs.folder import RunFolder, run_keys
from tests.fake_runs import experiment, write_runs

CONFIG = experiment(
    methods={"satl": {}, "fixed_threshold": {}, "partial_bce": {}}, known_ratios=[0.1]
)
STEMS = (
    "glyphs-map-by-known-ratio", "glyphs-thresholds-satl",
    "glyphs-score-distributions-satl", "glyphs-pseudo-labels", "glyphs-known-and-hidden",
    "glyphs-gains-by-category",
)  # fmt: skip


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """Two reports of the same runs; the second one also had stale files to remove."""
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    write_runs(CONFIG, first)
    shutil.copytree(first / "runs", second / "runs")
    for stale in ("tables/gone.md", "figures/gone-pseudo-labels.png"):
        (second / stale).parent.mkdir(exist_ok=True)
        (second / stale).write_text("old")
    for folder in (first, second):
        write_report(CONFIG, folder)
    return first, second


def made(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "runs" not in path.parts
    }


def test_exactly_the_expected_files(reported):
    figures = {f"figures/{stem}.{suffix}" for stem in STEMS for suffix in ("png", "pdf")}
    tables = {f"tables/glyphs.{suffix}" for suffix in ("md", "tex", "csv", "html")}
    tables.add("tables/glyphs-differences.csv")
    expected = figures | tables | {"summary.csv", "figures/index.json", "index.html"}
    for folder in reported:
        assert set(made(folder)) == expected


def test_an_ablation_has_its_own_table_and_map_figure(tmp_path):
    methods = {"partial_bce": {}, "fixed_threshold": {}, "bare": {"method": "partial_bce"}}
    ablations = {"parts": ["partial_bce", "bare"]}
    ablated = experiment(methods=methods, ablations=ablations, known_ratios=[0.1])
    write_runs(ablated, tmp_path)
    write_report(ablated, tmp_path)
    tables = {path.name for path in (tmp_path / "tables").iterdir()}
    assert tables == {
        f"{name}{suffix}"
        for name in ("glyphs", "glyphs-parts")
        for suffix in (".md", ".tex", ".csv", ".html", "-differences.csv")
    }
    index = json.loads((tmp_path / "figures" / "index.json").read_text())
    shown = {e["file"]: [Path(r["folder"]).parts[2] for r in e["runs"]] for e in index["figures"]}
    assert shown["glyphs-map-by-known-ratio.png"] == ["partial_bce", "fixed_threshold"]
    assert shown["glyphs-parts-map-by-known-ratio.png"] == ["partial_bce", "bare"]


def test_the_same_runs_give_the_same_bytes(reported):
    first, second = map(made, reported)
    assert [name for name in first if first[name] != second[name]] == []


def test_files_carry_no_date(reported):
    for stem in STEMS:
        assert b"CreationDate" not in (reported[0] / "figures" / f"{stem}.pdf").read_bytes()
        assert b"satl-bench" in (reported[0] / "figures" / f"{stem}.png").read_bytes()


def test_every_figure_leads_to_its_run_folders(reported):
    index = json.loads((reported[0] / "figures" / "index.json").read_text())
    index = index["figures"]
    assert {entry["file"] for entry in index} == {f"{s}.{x}" for s in STEMS for x in ("png", "pdf")}
    for entry in index:
        assert entry["dataset"] == "glyphs" and "glyphs" in entry["title"] and entry["runs"]
        for source in entry["runs"]:
            record = RunFolder(reported[0] / source["folder"]).run()
            assert name_of(record["fingerprint"]) == source["fingerprint"]
    shown = {entry["file"]: len(entry["runs"]) for entry in index}
    assert shown["glyphs-map-by-known-ratio.png"] == 3
    assert shown["glyphs-thresholds-satl.png"] == 1


def test_no_evaluated_run_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no evaluated run"):
        write_report(CONFIG, tmp_path)


def test_what_is_left_out_is_logged_and_listed_with_the_reason(tmp_path, caplog):
    plain = experiment(methods={"partial_bce": {}}, known_ratios=[0.1])
    write_runs(plain, tmp_path)
    with caplog.at_level(logging.INFO, logger="satl.report"):
        write_figures(plain, evaluated_runs(plain, tmp_path), tmp_path / "figures")
    assert "glyphs-thresholds-partial_bce" in caplog.text
    assert "glyphs-pseudo-labels: left out" in caplog.text
    assert len(list((tmp_path / "figures").glob("*.png"))) == 2
    left_out = json.loads((tmp_path / "figures" / "index.json").read_text())["left_out"]
    reason = "partial_bce has no thresholds"
    assert {entry["name"]: entry["reason"] for entry in left_out} == {
        "glyphs-thresholds-partial_bce": reason,
        "glyphs-score-distributions-partial_bce": reason,
        "glyphs-pseudo-labels": "no method made pseudo-labels",
    }


def test_thresholds_that_no_category_has_its_own_of_are_said_to_be_the_same(tmp_path):
    fixed = experiment(methods={"fixed_threshold": {}}, known_ratios=[0.1])
    write_runs(fixed, tmp_path)
    write_figures(fixed, evaluated_runs(fixed, tmp_path), tmp_path / "figures")
    left_out = json.loads((tmp_path / "figures" / "index.json").read_text())["left_out"]
    assert left_out[0] == {
        "name": "glyphs-thresholds-fixed_threshold",
        "dataset": "glyphs",
        "reason": "the thresholds of fixed_threshold are the same for every category",
    }


def summary(values):
    """Rows of a summary: {(method, known ratio): mAP of each seed}."""
    return pd.DataFrame([
        {"method": method, "known_ratio": ratio, "seed": seed, "selection": "last", "mAP": value}
        for (method, ratio), seeds in values.items()
        for seed, value in enumerate(seeds)
    ])  # fmt: skip


def test_one_known_ratio_is_a_dot_a_method_with_the_best_on_top():
    rows = summary({("low", 0.1): [60.0], ("high", 0.1): [70.0, 72.0], ("high", 0.5): [np.nan]})
    axes = map_figure(rows, line_styles(["low", "high"])).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["high", "low"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first is on top"
    assert [text.get_text() for text in axes.texts] == ["71.0 ± 1.4", "60.0"]
    assert axes.get_xlabel() == "mAP (%) at 10 % known labels"


@pytest.mark.parametrize("ratios", [(0.1,), (0.1, 0.5)])
def test_the_axis_of_nearly_equal_values_has_a_least_span(ratios):
    close = {(name, ratio): [v] for name, v in (("a", 70.0), ("b", 70.2)) for ratio in ratios}
    for rows, spans in ((close, (5, 5)), (close | {("a", ratios[0]): [40.0]}, (30, 35))):
        axes = map_figure(summary(rows), line_styles(["a", "b"])).axes[0]
        low, high = axes.get_xlim() if len(ratios) == 1 else axes.get_ylim()
        assert spans[0] - 1e-9 <= high - low <= spans[1] + 1e-9
        assert low < 70 < 70.2 < high


def test_names_beside_the_lines_are_those_of_the_methods_from_the_highest_down():
    ends = {"a": 50.0, "b": 70.0, "c": 69.9}
    rows = summary({(m, r): [v - 20 + 40 * r] for m, v in ends.items() for r in (0.1, 0.5)})
    axes = map_figure(rows, line_styles(list(ends))).axes[0]
    named = sorted((t.xyann[1], t.get_text()) for t in axes.texts if t.get_text())
    assert [name for _, name in named] == ["a", "c", "b"]
    assert np.diff([height for height, _ in named]).min() > 0.05


def test_positives_of_one_are_singular():
    kinds = {"known_positive": [1, 0], "hidden_positive": [0, 2], "known_negative": [9, 9]}
    kinds["hidden_negative"] = [9, 9]
    bins = pd.DataFrame([
        {"category": "ab"[i], "label": kind, "left": b, "right": b + 1, "count": count[i] * (b < 1),
         "known_ratio": 0.1}
        for kind, count in kinds.items() for i in range(2) for b in range(4)
    ])  # fmt: skip
    taus = pd.DataFrame(
        {"category": ["a", "b"], "tau_pos": 1.0, "tau_neg": 0.0, "known_ratio": 0.1}
    )
    labels = [axes.get_ylabel() for axes in score_figure(bins, taus).axes]
    assert labels == ["b\n2 positives", "a\n1 positive"]


def test_data_at_the_edge_are_drawn(tmp_path):
    """One epoch, all labels known, a category without threshold, names with signs, no mAP."""
    odd = experiment(methods={"satl": {}, "partial_bce": {}}, known_ratios=[0.4, 1.0], seeds=[3])
    for folder in write_runs(odd, tmp_path):
        rename = {"person": "a $1 b$_c", "toaster": "<&>"}
        for name in ("thresholds.parquet", "score_histogram.parquet"):
            table = pd.read_parquet(folder / name).replace({"category": rename})
            if "epoch" in table:
                table = table[table["epoch"] == 1].copy()
                table.loc[table["category"] == "<&>", ["tau_pos", "tau_neg"]] = [np.inf, -np.inf]
                table.loc[table["category"] == "kite", "tau_pos"] *= 100
            table.to_parquet(folder / name)
    folder = run_keys(odd)[-1].folder(tmp_path)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["selections"]["last"]["mAP"] = None
    (folder / "metrics.json").write_text(json.dumps(metrics))
    write_report(odd, tmp_path)
    assert len(list((tmp_path / "figures").glob("*.pdf"))) == 6


@pytest.mark.parametrize("finite", [0, 1, 2])
def test_few_categories_with_a_threshold(finite):
    names = ["a", "b", "c"]
    table = pd.DataFrame({"epoch": [1] * 3 + [2] * 3, "category": names * 2, "known_ratio": 0.1})
    table["tau_pos"] = [1.0, 2.0, 3.0] + [2.0, 1.0, 0.0][:finite] + [np.inf] * (3 - finite)
    table["tau_neg"] = np.nan
    figure = threshold_figure(table, pd.Series({"a": 9, "b": 5, "c": 1}))
    named = [text.get_text() for text in figure.legends[0].get_texts()][2:]
    assert len(figure.axes) == 1
    said = [text.get_text() for text in figure.axes[0].texts]
    without = f"at the end: {3 - finite} of 3 without a threshold"
    assert said == [without]
    assert [name[0] for name in named] == {0: [], 1: ["a"], 2: ["a", "b"]}[finite]


def test_looks_are_distinct():
    styles = list(line_styles([f"method {i}" for i in range(42)]).values())
    assert len({str(look["color"]) for look in styles[:14]}) == 14
    assert len({(str(look["color"]), str(look["linestyle"])) for look in styles}) == 42
    for look, following in pairwise(styles):
        assert look["marker"] != following["marker"]


def test_spread_keeps_order_gap_and_place():
    assert spread(np.array([0.1, 0.5, 0.9]), 0.1) == pytest.approx([0.1, 0.5, 0.9])
    assert spread(np.array([0.5, 0.5]), 0.1) == pytest.approx([0.45, 0.55])
    crowded = spread(np.array([0.9, 0.95, 0.99, 1.0]), 0.1)
    assert np.diff(crowded) == pytest.approx([0.1] * 3) and crowded[-1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("ratios", "chosen"),
    [([0.5], [0.5]), ([0.9, 0.1], [0.1, 0.9]), ([0.1, 0.2, 0.3, 0.4, 0.5], [0.1, 0.3, 0.5])],
)
def test_up_to_three_ratios(ratios, chosen):
    assert lowest_middle_highest(ratios) == chosen


def test_other_settings_have_figures_and_panels_of_their_own(tmp_path):
    methods = {"satl": {}, "partial_bce": {}}
    mixed = experiment(methods=methods, known_ratios=[0.1, 0.5], observe="single_positive")
    write_runs(mixed, tmp_path)
    write_report(mixed, tmp_path)
    index = json.loads((tmp_path / "figures/index.json").read_text())
    settings = {
        figure["file"].removesuffix(".png"): {run["folder"].split("/")[3] for run in figure["runs"]}
        for figure in index["figures"]
        if figure["file"].endswith(".png")
    }
    ratios = {"known-0.10", "known-0.50"}
    assert settings["glyphs-map-by-known-ratio"] == ratios
    assert settings["glyphs-single_positive-map"] == {"known-single_positive"}
    for name in ("glyphs-pseudo-labels", "glyphs-known-and-hidden"):
        assert settings[name] == ratios | {"known-single_positive"}
    assert settings["glyphs-score-distributions-satl"] == {"known-0.10", "known-single_positive"}
