"""Result tables: what stands in the cells, and how each format writes it."""

import io
import math

import pandas as pd
import pytest

from satl.core.errors import UserError
from satl.report.render import csv, latex, markdown, page
from satl.report.tables import result_tables
from satl.runs.evaluated import Run
from satl.runs.folder import RunFolder, RunKey
from tests.fake_runs import experiment

METHODS = ("satl", "fixed_threshold", "partial_bce")


def config(**changes):
    methods = {name: {} for name in METHODS}
    return experiment(**{"methods": methods, "known_ratios": [0.1, 0.5]} | changes)


def run(method, ratio, score, seed=0, best=None, commit="c0ffee", without=()):
    selections = {
        "last": {"epoch": 2, "mAP": score},
        "best_on_test": {"epoch": 1, "mAP": score if best is None else best},
    }
    metrics = {"selections": selections, "categories_without_positives": list(without)}
    key = RunKey("glyphs", method, ratio, seed)
    return Run(key, RunFolder("unused"), {}, {"commit": commit}, metrics)


def full(scores):
    """One run a cell: {method: (score at 10 %, score at 50 %)}."""
    ratios = (0.1, 0.5)
    return [run(m, r, s) for m, pair in scores.items() for r, s in zip(ratios, pair, strict=True)]


def result_table(experiment, dataset, runs):
    """The main table."""
    return result_tables(experiment, dataset, runs)[0]


def cells(table, block, method):
    rows = {row.method: row for row in table.blocks[block].rows}
    return rows[method].cells


def test_mean_and_deviation_over_seeds():
    scores = {(0.1, 0): 50.0, (0.1, 1): 52.0, (0.5, 0): 60.0, (0.5, 1): 66.0}
    runs = [run("satl", ratio, score, seed) for (ratio, seed), score in scores.items()]
    table = result_table(config(seeds=[0, 1]), "glyphs", runs)
    low, high, average = cells(table, 0, "satl")
    assert (low.mean, high.mean, average.mean) == (51.0, 63.0, 57.0)
    assert low.std == pytest.approx(math.sqrt(2))
    assert average.std == pytest.approx(math.sqrt(8))  # of 55 and 59
    assert (low.text, low.runs) == ("51.0 ± 1.4", 2)
    assert "standard deviation over the seeds 0, 1" in table.notes[0]


@pytest.fixture
def one_ratio(published):
    return config(known_ratios=[0.1], datasets=published)


def test_one_known_ratio_has_no_average(one_ratio):
    table = result_table(one_ratio, "glyphs", [run("satl", 0.1, 7.0)])
    assert table.headings == ("10 %",)
    texts = [[cell.text for cell in row.cells] for block in table.blocks for row in block.rows]
    assert texts == [["7.0"], ["–"], ["–"]] * 2 + [["60.0"], ["–"]]
    for text in (markdown(table), latex(table), csv(table)):
        assert ",average" not in text and "| average" not in text and "& average" not in text
    assert not any("no average" in note for note in table.notes)


def test_selections_are_separate_blocks():
    table = result_table(config(), "glyphs", [run("satl", 0.1, 50.0, best=55.0)])
    assert [block.title for block in table.blocks] == ["last epoch", "best on test"]
    assert cells(table, 0, "satl")[0].text == "50.0"
    assert cells(table, 1, "satl")[0].text == "55.0"
    assert any("optimistic" in note for note in table.notes)


def test_best_and_second_and_ties():
    scores = {"satl": (70.04, 80.0), "fixed_threshold": (69.96, 79.0), "partial_bce": (60.0, 78.0)}
    table = result_table(config(), "glyphs", full(scores))
    places = {method: [cell.rank for cell in cells(table, 0, method)] for method in METHODS}
    # 70.04 and 69.96 both read 70.0: they share the first place, and 60.0 is second.
    assert places == {"satl": [1, 1, 1], "fixed_threshold": [1, 2, 2], "partial_bce": [2, 0, 0]}


def test_missing_runs_are_dashes_and_counted():
    runs = [run("satl", 0.1, 50.0), run("satl", 0.5, 60.0), run("partial_bce", 0.1, None)]
    table = result_table(config(), "glyphs", [*runs, run("partial_bce", 0.5, 40.0)])
    assert [cell.text for cell in cells(table, 0, "satl")] == ["50.0", "60.0", "55.0"]
    assert [cell.text for cell in cells(table, 0, "partial_bce")] == ["–", "40.0", "–"]
    assert [cell.text for cell in cells(table, 0, "fixed_threshold")] == ["–"] * 3
    assert any(note.startswith("3 of 6 runs are missing") for note in table.notes)


def test_no_run_at_all_still_makes_a_table():
    table = result_table(config(), "glyphs", [])
    assert {cell.text for row in table.blocks[0].rows for cell in row.cells} == {"–"}


def test_a_note_says_where_only_heads_are_trained_on_cached_feature_maps():
    runs = full({"satl": (50, 60)})
    published = result_table(config(), "glyphs", runs).notes
    assert not any("frozen" in note or "views" in note for note in published)
    frozen = config(
        model={"backbone": "tiny", "weights": "random", "frozen": "all"},
        training={"epochs": 2, "cached_views": 3},
    )
    notes = result_table(frozen, "glyphs", runs).notes
    (note,) = (note for note in notes if "frozen" in note)
    assert "backbone (tiny) is frozen" in note and "3 augmented views" in note


def test_footnotes_say_what_the_numbers_are_made_of():
    dropping = {"glyphs": {"format": "glyphs", "unannotated": "drop"}}
    runs = [run("satl", 0.1, 50.0, commit="a" * 40 + "-dirty", without=["toaster", "hair_drier"])]
    notes = "\n".join(result_table(config(datasets=dropping), "glyphs", runs).notes)
    assert "Images without annotations are left out" in notes
    assert "left out of the mean: hair_drier, toaster." in notes
    assert "Config fake; commit aaaaaaaaaa-dirty." in notes


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "published.csv"
    path.write_text(
        "method,source,0.10,0.50,0.90,average\n"
        "SSGRL,A & B 2022,60.0,70.0,80.0,70.0\nSATL,not filled in yet,,,,\n"
    )
    return {"glyphs": {"format": "glyphs", "published": str(path)}}


def test_published_rows_average_what_is_shown(published):
    table = result_table(config(datasets=published), "glyphs", full({"satl": (1, 2)}))
    assert [cell.text for cell in cells(table, 2, "SSGRL")] == ["60.0", "70.0", "65.0"]
    assert [cell.text for cell in cells(table, 2, "SATL")] == ["–", "–", "–"]
    assert table.notes[table.blocks[2].rows[0].note - 1].startswith("Quoted from A & B 2022; wri")
    assert table.notes[table.blocks[2].rows[1].note - 1] == "not filled in yet."


def test_published_average_is_the_stated_one_beside_all_its_ratios(published):
    every = config(datasets=published, known_ratios=[0.1, 0.5, 0.9])
    path = published["glyphs"]["published"]
    with open(path, "a") as file:
        file.write("Odd,A,60.0,70.0,80.0,70.1\n")
    assert cells(result_table(every, "glyphs", []), 2, "Odd")[-1].text == "70.1"


def test_a_published_average_alone_is_shown_where_all_its_ratios_are(published):
    with open(published["glyphs"]["published"], "a") as file:
        file.write("Later,B,,,,71.5\n")
    every = config(datasets=published, known_ratios=[0.1, 0.5, 0.9])
    table = result_table(every, "glyphs", [])
    assert [cell.text for cell in cells(table, 2, "Later")] == ["–", "–", "–", "71.5"]
    assert any(note.startswith("Quoted from B;") for note in table.notes)
    two = result_table(config(datasets=published), "glyphs", [])
    assert [row.method for row in two.blocks[2].rows] == ["SSGRL", "SATL"]
    assert not any("Quoted from B;" in note for note in two.notes)


def test_published_file_without_source_is_named(tmp_path):
    path = tmp_path / "bare.csv"
    path.write_text("method,0.10\nSSGRL,60\n")
    bare = {"glyphs": {"format": "glyphs", "published": str(path)}}
    with pytest.raises(UserError, match="lacks the column 'source'"):
        result_table(config(datasets=bare), "glyphs", [])


# One source of VOC's rows states 94.0 where the mean is 94.07.
@pytest.mark.parametrize(
    ("name", "rounding"), [("coco", 0.0501), ("vg200", 0.0501), ("voc2007", 0.0701)]
)
def test_the_quoted_tables_are_whole(name, rounding):
    quoted = pd.read_csv(f"workflow/published/{name}.csv")
    ratios = [f"0.{tens}0" for tens in range(1, 10)]
    filled = quoted.dropna()
    assert list(quoted["method"][quoted["average"].isna()]) == ["SATL"]
    alone = quoted[ratios].isna().all(axis=1) & quoted["average"].notna()
    assert len(filled) + alone.sum() + 1 == len(quoted)
    assert alone.sum() and quoted["source"][alone].str.contains("the average alone").all()
    # What both papers have is quoted once.
    assert not quoted.duplicated(["method", "average"]).any()
    assert (filled[ratios].mean(axis=1) - filled["average"]).abs().max() < rounding


def test_markdown_marks_best_and_second():
    text = markdown(result_table(config(), "glyphs", full({"satl": (7, 8), "partial_bce": (5, 6)})))
    assert "| satl | **7.0** | **8.0** | **7.5** |" in text
    assert r"| partial\_bce | <ins>5.0</ins> | <ins>6.0</ins> | <ins>5.5</ins> |" in text
    assert "### last epoch" in text and "### best on test" in text


def test_latex_escapes_and_marks(published):
    runs = full({"satl": (7, 8), "partial_bce": (5, 6)})
    text = latex(result_table(config(datasets=published), "glyphs", runs))
    assert r"satl & \textbf{7.0} & \textbf{8.0} & \textbf{7.5} \\" in text
    assert r"partial\_bce & \underline{5.0} & \underline{6.0} & \underline{5.5} \\" in text
    assert r"fixed\_threshold & -- & -- & -- \\" in text
    assert r"10 \% & 50 \%" in text and r"A \& B 2022" in text
    assert text.count(r"\begin{") == text.count(r"\end{")
    assert "_" not in text.replace(r"\_", "")


def test_csv_is_tidy_and_plain(published):
    runs = full({"satl": (7, 8), "partial_bce": (5, 6)})
    tidy = pd.read_csv(
        io.StringIO(csv(result_table(config(datasets=published), "glyphs", runs))),
        dtype={"known_ratio": str},
    ).set_index(["selection", "method", "known_ratio"])
    assert tidy.loc[("last", "satl", "average"), "mAP"] == 7.5
    assert tidy.loc[("last", "satl", "0.10"), "runs"] == 1
    assert tidy.loc[("published", "SSGRL", "0.50"), "source"] == "A & B 2022"
    assert math.isnan(tidy.loc[("last", "fixed_threshold", "0.10"), "mAP"])


def test_page_is_self_contained_and_escaped(published):
    runs = full({"satl": (7, 8), "partial_bce": (5, 6)})
    text = page(result_table(config(datasets=published), "glyphs", runs))
    assert "<td><b>7.0</b></td>" in text and "<td><u>5.0</u></td>" in text
    assert "A &amp; B 2022" in text
    assert "prefers-color-scheme: dark" in text
    assert "http" not in text and "src=" not in text


@pytest.fixture
def ablated(published):
    """satl and two variants, of which an ablation names one, and a method it does not name."""
    names = {"satl": {}, "partial_bce": {}}
    names |= {name: {"method": "satl"} for name in ("moved", "not-moved")}
    return config(datasets=published, methods=names, ablations={"rules": ["moved", "satl"]})


def test_an_ablation_is_a_table_of_its_own(ablated):
    runs = full({"satl": (7, 8), "moved": (6, 9), "partial_bce": (9, 9), "not-moved": (1, 1)})
    main, rules = result_tables(ablated, "glyphs", runs)
    assert [table.name for table in (main, rules)] == ["glyphs", "glyphs-rules"]
    assert [row.method for row in main.blocks[0].rows] == ["satl", "partial_bce", "not-moved"]
    assert [row.method for row in rules.blocks[0].rows] == ["moved", "satl"]
    # Places are those among the rows of the table.
    assert [cell.rank for cell in cells(rules, 0, "satl")] == [1, 2, 1]
    assert [cell.rank for cell in cells(main, 0, "satl")] == [2, 2, 2]
    # Published numbers stand in the main table alone.
    assert [block.name for block in main.blocks] == ["last", "best_on_test", "published"]
    assert [block.name for block in rules.blocks] == ["last", "best_on_test"]
    assert "by share of known labels: rules" in markdown(rules)
    assert r"\label{tab:glyphs-rules}" in latex(rules)


def test_a_table_counts_the_missing_runs_of_its_own_rows(ablated):
    main, rules = result_tables(ablated, "glyphs", full({"satl": (7, 8)}))
    assert any(note.startswith("4 of 6 runs are missing") for note in main.notes)
    assert any(note.startswith("2 of 4 runs are missing") for note in rules.notes)


def test_what_has_no_ground_truth_is_said():
    runs = [run("satl", 0.1, 50.0), run("satl", "as_is", 40.0)]
    runs[1].metrics.update(
        test_entries={"judged": 7000, "all": 10000}, hidden_entries={"judged": 0, "all": 9}
    )
    notes = result_tables(config(observe="as_is"), "glyphs", runs)[1].notes
    assert any("7,000 are known and judged; the others count in no metric" in n for n in notes)
    assert any("behind the unknown training labels (as_is): how good" in n for n in notes)
    plain = result_table(config(), "glyphs", runs[:1]).notes
    assert not any("judged" in note or "ground truth is" in note for note in plain)
