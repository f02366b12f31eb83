"""Tables of settings other than known ratios: one of each, with more columns than the mAP."""

import io

import pandas as pd
import pytest

from satl.report.render import csv, latex, markdown, page
from satl.report.tables import result_tables
from satl.runs.evaluated import evaluated_runs
from tests.fake_runs import experiment, write_runs

OBSERVE = {"biased": {"known_ratio": 0.3, "positives": 3}, "single_positive": {}}


def tables_of(folder, **changes):
    """By name; of three seeds, two known ratios and two settings."""
    changes = {"known_ratios": [0.1, 0.5], "observe": OBSERVE, "seeds": [0, 1, 2]} | changes
    asked = experiment(report={"reference": "partial_bce"}, **changes)
    write_runs(asked, folder)
    runs = evaluated_runs(asked, folder)
    return {table.name: table for table in result_tables(asked, "glyphs", runs)}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return tables_of(tmp_path_factory.mktemp("settings"))


def test_each_setting_has_a_table_and_known_ratios_have_one_together(tables):
    assert list(tables) == ["glyphs", "glyphs-biased", "glyphs-single_positive"]
    assert tables["glyphs"].columns == ("0.10", "0.50", "average")
    assert tables["glyphs-biased"].caption == "Results (%) on glyphs, labels known: biased"
    described = "Labels known: biased (biased: seed 0, known_ratio 0.3, positives 3.0, "
    notes = tables["glyphs-biased"].notes
    assert any(note.startswith(described) for note in notes)
    assert not any("Labels known" in note for note in tables["glyphs"].notes)


def test_settings_change_nothing_in_the_table_of_ratios(tables, tmp_path):
    alone = tables_of(tmp_path, observe={})
    assert markdown(alone["glyphs"]) == markdown(tables["glyphs"])


def test_a_setting_has_other_metrics_pseudo_labels_and_differences(tables):
    table = tables["glyphs-single_positive"]
    assert table.headings == (
        "mAP", "OF1", "CF1", "PL precision", "PL recall", "difference to partial_bce", "p (Holm)",
        "mAP, best on test",
    )  # fmt: skip
    (block,) = table.blocks
    rows = {row.method: dict(zip(table.columns, row.cells, strict=True)) for row in block.rows}
    assert rows["satl"]["mAP"].rank == 1 and rows["satl"]["OF1"].rank == 0
    assert rows["satl"]["pseudo_positive_precision"].mean > 90
    assert rows["partial_bce"]["pseudo_positive_precision"].text == "–"
    assert rows["partial_bce"]["difference"].text == rows["partial_bce"]["p_holm"].text == "–"
    higher = rows["satl"]["mAP_best_on_test"].mean - rows["satl"]["mAP"].mean
    assert higher == pytest.approx(0.4)  # as the fake runs have it
    (satl,) = (row for row in table.comparisons.rows if row.method == "satl")
    one = satl.difference
    assert rows["satl"]["difference"].text == f"{one.mean:+.2f} [{one.low:+.2f}, {one.high:+.2f}]"
    assert one.mean == pytest.approx(rows["satl"]["mAP"].mean - rows["partial_bce"]["mAP"].mean)


def test_differences_are_columns_and_not_a_second_table(tables):
    table = tables["glyphs-single_positive"]
    for render in (markdown, latex, page):
        assert "Differences to" not in render(table) and "p (Holm)" in render(table)
        assert "Differences to" in render(tables["glyphs"])
    assert "&lt; 0.001" in page(table) and r"\< 0.001" in markdown(table)


def test_csv_has_a_line_per_method(tables):
    lines = pd.read_csv(io.StringIO(csv(tables["glyphs-biased"]))).set_index("method")
    assert list(lines.index) == ["satl", "fixed_threshold", "partial_bce", "assume_negative"]
    assert set(lines["known_ratio"]) == {"biased"} and set(lines["runs"]) == {3}
    assert lines["mAP_std"].notna().all() and "difference_std" not in lines
    assert lines["difference"].isna().to_dict()["partial_bce"]
    assert (lines["mAP_best_on_test"] > lines["mAP"]).all()


def test_one_seed_has_no_differences(tmp_path):
    table = tables_of(tmp_path, seeds=[0])["glyphs-biased"]
    assert table.columns[-2:] == ("pseudo_positive_recall", "mAP_best_on_test")
    assert any("one seed cannot tell" in note for note in table.notes)


@pytest.mark.parametrize(
    ("observe", "names"),
    [
        ("single_positive", ["glyphs"]),
        (OBSERVE, ["glyphs-biased", "glyphs-single_positive"]),
    ],
)
def test_without_known_ratios(tmp_path, observe, names):
    tables = tables_of(tmp_path, known_ratios=[], observe=observe, seeds=[0])
    assert list(tables) == names
    assert tables[names[-1]].shown.known == ["single_positive"]


def test_ablations_and_tuned_methods_have_tables_of_each_setting(tmp_path):
    tables = tables_of(
        tmp_path,
        observe="single_positive",
        seeds=[0, 1],
        methods={"satl": {}, "other": {"method": "satl"}, "partial_bce": {}},
        ablations={"rules": ["other", "satl"]},
        validation=0.1,
        tune={"trials": 2},
    )
    setting = [name for name in tables if name.endswith("-single_positive")]
    assert setting == [f"glyphs{part}-single_positive" for part in ("", "-rules", "-tuned")]
    rules, tuned = tables[setting[1]], tables[setting[2]]
    assert [row.method for row in rules.blocks[0].rows] == ["other", "satl"]
    assert rules.columns[-2:] == ("mAP_best_on_validation", "mAP_best_on_test")
    assert [block.name for block in tuned.blocks] == ["tuned", "given", "oracle"]
    assert tuned.columns[-2:] == ("difference", "p_holm")
    ranks = [{row.cells[0].rank for row in block.rows} for block in tuned.blocks]
    assert 1 in ranks[0] and ranks[1:] == [{0}, {0}]
