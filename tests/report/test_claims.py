"""What a table claims: bold methods, and differences to a reference, in every format."""

import io
import math

import numpy as np
import pandas as pd
import pytest

from satl.report.claims import signed
from satl.report.render import latex, markdown, page
from satl.report.render_differences import csv as differences_csv
from satl.report.tables import result_tables
from satl.runs.evaluated import evaluated_runs
from tests.fake_runs import experiment, write_runs


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1.234, 2, "+1.23"),
        (-1.25, 1, "−1.2"),
        (-0.0002, 2, "0.00"),
        (0.0, 1, "0.0"),
        (math.nan, 2, "–"),
    ],
)
def test_a_difference_has_a_sign_unless_it_is_shown_as_zero(value, digits, text):
    assert signed(value, digits) == text


def main_table(experiment, dataset, runs):
    return result_tables(experiment, dataset, runs)[0]


@pytest.fixture
def several(tmp_path):
    """A report of five seeds and four methods; one of them lacks its last seed."""
    asked = experiment(seeds=[0, 1, 2, 3, 4], report={"reference": "partial_bce"})
    write_runs(asked, tmp_path)
    (tmp_path / "runs/glyphs/fixed_threshold/known-0.50/seed-4/metrics.json").unlink()
    return asked, evaluated_runs(asked, tmp_path)


def test_methods_that_do_not_differ_from_the_best_are_bold_together(several):
    asked, runs = several
    runs = [run for run in runs if run.key.method != "satl"]
    table = main_table(asked, "glyphs", runs)
    bold = {row.method for row in table.blocks[0].rows if row.cells[-2].rank == 1}
    assert bold == {"fixed_threshold", "partial_bce"}
    assert {c.rank for row in table.blocks[0].rows for c in row.cells} == {0, 1}
    assert table.notes[1].startswith("Bold at the last epoch: the highest, and all that do not")


def test_differences_to_the_reference_in_every_format(several):
    table = main_table(several[0], "glyphs", several[1])
    assert table.comparisons.reference == "partial_bce"
    rows = {row.method: row for row in table.comparisons.rows}
    assert set(rows) == {"satl", "fixed_threshold", "assume_negative"}
    assert rows["satl"].adjusted < 0.05 and rows["satl"].difference.low > 0
    assert rows["assume_negative"].difference.high < 0
    mean = rows["satl"].difference.mean
    for text in (markdown(table), latex(table), page(table)):
        assert f"+{mean:.2f}" in text and "p (Holm)" in text
    assert r"\textless{}" in latex(table) and "\N{MINUS SIGN}" not in latex(table)
    assert latex(table).count(r"\begin{tabular}") == latex(table).count(r"\end{tabular}") == 2
    tidy = pd.read_csv(io.StringIO(differences_csv("glyphs", table.comparisons))).set_index(
        "method"
    )
    assert tidy.loc["satl", "difference"] == pytest.approx(mean, abs=1e-5)
    assert (tidy["low"] < tidy["difference"]).all() and (tidy["p"] <= tidy["p_holm"]).all()


def test_a_difference_is_of_the_seeds_that_both_methods_have(several):
    table = main_table(several[0], "glyphs", several[1])
    scores = {
        run.key: run.metrics["selections"]["last"]["mAP"]
        for run in several[1]
        if run.key.seed != 4 and run.key.method in ("fixed_threshold", "partial_bce")
    }
    means = {
        m: np.mean([v for key, v in scores.items() if key.method == m])
        for m in ("fixed_threshold", "partial_bce")
    }
    (row,) = (row for row in table.comparisons.rows if row.method == "fixed_threshold")
    assert row.difference.mean == pytest.approx(means["fixed_threshold"] - means["partial_bce"])


def test_one_seed_makes_no_claim(several):
    asked = experiment(report={"reference": "partial_bce"})
    table = main_table(asked, "glyphs", [run for run in several[1] if run.key.seed == 0])
    assert any("one seed cannot tell methods from trainings" in note for note in table.notes)
    for text in (markdown(table), latex(table), page(table)):
        assert "p (Holm)" not in text
    tidy = pd.read_csv(io.StringIO(differences_csv("glyphs", table.comparisons)))
    assert tidy["difference"].notna().all() and tidy["p"].isna().all()


def test_runs_without_resamples_make_no_claim(several):
    for run in several[1]:
        (run.folder.path / "bootstrap.npz").unlink()
    table = main_table(several[0], "glyphs", several[1])
    assert any("evaluated with resamples" in note for note in table.notes)
    assert not table.comparisons.are_claims
