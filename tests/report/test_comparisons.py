"""Average ranks, and the figures that compare methods."""

import numpy as np
import pandas as pd
import pytest

from satl.report.comparison_plots import comparison_plots, gains_by_category
from satl.report.plot_forest import forest_figure
from satl.report.plot_gains import gain_figure
from satl.report.plotted import Plot, SkippedFigure
from satl.report.ranks import Ranks, average_ranks
from satl.report.statistics import Scores, compared
from satl.report.style import house_style, line_styles
from satl.runs.evaluated import evaluated_runs
from tests.fake_runs import experiment, write_runs


def scores(means, seeds=3):
    random = np.random.default_rng(0)
    keys = [(m, r, s) for m in means for r in (0.1, 0.5) for s in range(seeds)]
    values = {key: means[key[0]] + 10 * key[1] + key[2] for key in keys}
    images = random.normal(0, 0.1, 200)
    return Scores(
        values, {key: v + images + random.normal(0, 0.1, 200) for key, v in values.items()}
    )


def test_ranks_and_the_critical_difference_of_demsar():
    ranks = average_ranks(scores({"b": 60, "a": 70, "d": 50, "c": 50}), ["a", "b", "c", "d"])
    assert ranks.mean.to_dict() == {"a": 1, "b": 2, "c": 3.5, "d": 3.5}
    assert ranks.blocks == 6
    # q of four methods at 5 % is 2.569 in table 5 of Demsar (2006).
    assert ranks.critical == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 6)), abs=1e-3)
    assert ranks.p < 0.001


def test_cliques_are_the_longest_runs_within_the_critical_difference():
    mean = pd.Series({"a": 1.0, "b": 1.8, "c": 2.1, "d": 4.0, "e": 6.0})
    assert Ranks(mean, 9, 0.0, 1.0).cliques() == [("a", "b"), ("b", "c")]
    assert Ranks(mean, 9, 0.0, 0.5).cliques() == [("b", "c")]
    assert Ranks(mean, 9, 0.0, 0.1).cliques() == []


def test_equal_methods_have_no_ranks_apart():
    ranks = average_ranks(scores(dict.fromkeys("abc", 60)), list("abc"))
    assert ranks.p == 1 and ranks.cliques() == [("a", "c")]


@pytest.mark.parametrize("methods", ["ab", "abc"])
def test_ranks_take_three_methods_and_two_complete_seeds(methods):
    one_seed = scores(dict.fromkeys(methods, 60), seeds=1)
    assert average_ranks(one_seed, list(methods)) is None
    gap = scores(dict.fromkeys(methods, 60))
    del gap.values["a", 0.5, 2]
    assert average_ranks(gap, list(methods)) is None


def test_the_forest_shows_what_is_significant():
    means = {"good": 65, "plain": 60, "same": 60.001}
    comparisons = compared(scores(means), list(means), "plain", [0.1, 0.5])
    axes = forest_figure(comparisons, "mAP", line_styles(list(means))).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["good", "same"]
    markers = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert [line.get_markerfacecolor() == "white" for line in markers] == [False, True]
    assert [text.get_text() for text in axes.texts][:1] == ["+5.00"]


@pytest.fixture
def several(tmp_path):
    asked = experiment(seeds=[0, 1], report={"reference": "partial_bce"})
    write_runs(asked, tmp_path)
    return asked, evaluated_runs(asked, tmp_path)


def test_gains_are_paired(several):
    runs = [run for run in several[1] if run.key.method in ("satl", "partial_bce")]
    gains = gains_by_category(runs, "partial_bce").set_index(["method", "category"])["mean"]
    ap = {run.key: run.metrics["per_category_AP"]["cup"] for run in runs}
    means = {
        m: np.mean([v for k, v in ap.items() if k.method == m]) for m in ("satl", "partial_bce")
    }
    assert gains["satl", "cup"] == pytest.approx(means["satl"] - means["partial_bce"])
    assert ("satl", "toaster") not in gains, "a category without positives has no AP"


@pytest.mark.parametrize("fewest", [67, 3])
def test_the_fewest_and_the_most_positives_are_named_without_formulas(fewest):
    counts = pd.Series({"flower": 453, "cloud": 439, "helm": fewest})
    gains = pd.DataFrame({"method": "satl", "category": counts.index, "mean": [1.0, -1.0, 0.5]})
    with house_style():
        figure = gain_figure(gains, counts, "partial_bce")
        figure.draw_without_rendering()
        axis = figure.axes[0].yaxis
        shown = [label.get_text() for label in axis.get_ticklabels(which="both")]
    assert shown == [str(fewest), "453"]


def test_each_table_has_its_comparisons(several):
    asked, runs = several
    plots = list(
        comparison_plots(asked, "glyphs", "glyphs", runs, line_styles(list(asked.methods)))
    )
    assert [plot.name for plot in plots] == [
        "glyphs-differences", "glyphs-average-ranks", "glyphs-gains-by-category",
    ]  # fmt: skip
    assert all(isinstance(plot, Plot) for plot in plots)
    one = [run for run in runs if run.key.seed == 0]
    plots = list(comparison_plots(asked, "glyphs", "glyphs", one, line_styles(list(asked.methods))))
    assert [isinstance(plot, SkippedFigure) for plot in plots] == [True, True, False]
