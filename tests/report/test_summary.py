"""summary.csv, and which run folders it takes."""

import json
import math
import shutil

import pandas as pd
import pytest

from satl.core.errors import UserError
from satl.metrics import METRIC_COLUMNS
from satl.report.summary import summarise, write_summary
from satl.runs.folder import run_keys
from tests.fake_runs import experiment, write_run, write_runs

CONFIG = experiment(
    methods={"partial_bce": {}, "strict": {"method": "satl", "q": 0.99}}, known_ratios=[0.1, 0.5]
)


@pytest.fixture
def results(tmp_path):
    write_runs(CONFIG, tmp_path)
    return tmp_path


def test_one_row_a_run_and_selection_in_config_order(results):
    table = summarise(CONFIG, results)
    assert tuple(table.columns) == (
        "dataset", "method", "known_ratio", "seed", "selection", "mAP", "mAP_voc2012",
        "OP", "OR", "OF1", "CP", "CR", "CF1", "OP3", "OR3", "OF13", "CP3", "CR3", "CF13",
        "AUROC", "ECE",
    )  # fmt: skip
    assert list(table["method"]) == ["partial_bce"] * 4 + ["strict"] * 4
    assert list(table["known_ratio"]) == [0.1, 0.1, 0.5, 0.5] * 2
    assert list(table["selection"]) == ["last", "best_on_test"] * 4


def test_numbers_are_those_of_metrics_json(results):
    folder = run_keys(CONFIG)[0].folder(results)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["selections"]["best_on_test"] |= {"CP3": 12.5, "OF1": None}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    row = summarise(CONFIG, results).iloc[1]
    assert row["CP3"] == 12.5
    assert math.isnan(row["OF1"])
    assert row["mAP"] == metrics["selections"]["best_on_test"]["mAP"]


def test_runs_that_are_missing_or_not_evaluated_are_absent(results):
    trained_only, gone = (key.folder(results) for key in run_keys(CONFIG)[:2])
    (trained_only / "metrics.json").unlink()
    shutil.rmtree(gone)
    assert set(summarise(CONFIG, results)["method"]) == {"strict"}


def test_nothing_evaluated_is_an_empty_table(tmp_path):
    table = summarise(CONFIG, tmp_path)
    assert table.empty and "CF13" in table


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("training.epochs", 7),
        ("model.backbone", "resnet50"),
        ("options.q", 0.5),
        ("known_ratio", 0.3),
        ("method", "partial_bce"),
    ],
)
def test_a_run_with_other_settings_is_named(results, name, value):
    folder = run_keys(CONFIG)[-1].folder(results)
    record = json.loads((folder / "run.json").read_text())
    section, _, key = name.partition(".")
    if key:
        record["fingerprint"][section][key] = value
    else:
        record["fingerprint"][section] = value
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(UserError) as caught:
        summarise(CONFIG, results)
    assert all(p in str(caught.value) for p in (str(folder), f"{name}: {value!r} there", "`name`"))


def test_settings_of_speed_and_options_left_to_their_defaults_may_differ(results):
    faster = experiment(
        methods={"partial_bce": {}, "strict": {"method": "satl", "q": "9.9e-1"}},
        known_ratios=[0.1, 0.5],
        training={"epochs": 10, "workers": 8, "image_cache": "memory"},
    )
    assert len(summarise(faster, results)) == 8


def test_the_file_has_four_decimals_and_reads_back(results, tmp_path):
    table = summarise(CONFIG, results)
    table.loc[0, "OP"] = float("nan")
    write_summary(table, tmp_path / "summary.csv")
    text = (tmp_path / "summary.csv").read_text()
    assert text.splitlines()[1].startswith("glyphs,partial_bce,0.10,0,last,")
    assert f"{table['mAP'][0]:.4f}" in text
    back = pd.read_csv(tmp_path / "summary.csv")
    pd.testing.assert_frame_equal(back, table, atol=1e-4, check_dtype=False)
    assert set(METRIC_COLUMNS) < set(back)


def test_a_damaged_file_is_named(results):
    folder = write_run(CONFIG, results, run_keys(CONFIG)[0])
    (folder / "metrics.json").write_text("{")
    with pytest.raises(UserError, match=r"metrics\.json: not valid JSON"):
        summarise(CONFIG, results)
