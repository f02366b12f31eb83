"""Logging run folders to MLflow: complete, once each, and again only where they changed."""

import json
import logging
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from filelock import FileLock
from mlflow import MlflowClient
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from satl.core.errors import UserError
from satl.core.files import write_json
from satl.runs.folder import run_keys
from satl.tracking import tracker
from satl.tracking.mlflow import links, track
from satl.tracking.mlflow.writing import CONTENT
from tests.fake_runs import EPOCHS, experiment, write_runs

CONFIG = experiment(
    methods={"satl": {}, "partial_bce": {}}, known_ratios=[0.1], ablations={"parts": ["satl"]}
)


class LogRecords(logging.Handler):
    """Collects what any library logs while it is entered, from INFO on."""

    def __enter__(self):
        self.lines = []
        self.level_before = logging.getLogger().level
        logging.getLogger().setLevel(logging.INFO)
        logging.getLogger().addHandler(self)

    def __exit__(self, *_):
        logging.getLogger().removeHandler(self)
        logging.getLogger().setLevel(self.level_before)

    def emit(self, record):
        self.lines.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A store that holds everything once; creating the database is what takes long."""
    folder = tmp_path_factory.mktemp("template")
    results = folder / "fake"
    write_runs(CONFIG, results)
    (results / "tables").mkdir()
    for name in ("glyphs.md", "glyphs-parts.md", "other.md"):
        (results / "tables" / name).write_text("a table")
    (results / "figures").mkdir()
    (results / "figures" / "glyphs-map.png").write_bytes(b"a figure")
    figures = [{"file": "glyphs-map.png", "dataset": "glyphs"}]
    write_json(results / "figures" / "index.json", {"figures": figures, "left_out": []})
    said = LogRecords()
    with said:
        counts = track(CONFIG, results, f"sqlite:///{folder}/mlflow.db")
    assert counts == {"added": 5, "continued": 0, "unchanged": 0, "replaced": 0}
    assert said.lines == []
    return folder


@pytest.fixture
def store(template):
    """The store of `template`, for a test to change and put back in order."""
    return MlflowClient(f"sqlite:///{template}/mlflow.db"), f"sqlite:///{template}/mlflow.db"


def runs_of(client):
    found = client.get_experiment_by_name("fake/glyphs")
    return {run.info.run_name: run for run in client.search_runs([found.experiment_id])}


def test_runs_hold_config_metrics_and_tags(store, template):
    runs = runs_of(store[0])
    assert set(runs) == {
        "satl seed-0", "satl known-0.10 seed-0",
        "partial_bce seed-0", "partial_bce known-0.10 seed-0", "report",
    }  # fmt: skip
    run = runs["satl known-0.10 seed-0"]
    folder = run_keys(CONFIG)[0].folder(template / "fake")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert run.info.status == "FINISHED"
    assert run.data.params == {  # what differs, and the main settings
        "method": "satl", "known_ratio": "0.10", "seed": "0", "model.backbone": "resnet101",
        "training.epochs": "10", "training.batch_size": "8", "training.learning_rate": "1e-05",
    }  # fmt: skip
    assert run.data.metrics["mAP"] == metrics["selections"]["last"]["mAP"]
    assert run.data.metrics["CF1_best_on_test"] == metrics["selections"]["best_on_test"]["CF1"]
    assert run.data.tags["known_ratio"] == "0.10" and run.data.tags["run_folder"] == str(folder)
    assert run.info.end_time - run.info.start_time == 125_000


def test_a_parent_holds_the_curve_over_the_known_ratios(tmp_path):
    config = experiment(
        methods={"satl": {}}, known_ratios=[0.1, 0.5], seeds=[0, 3], observe={"single_positive": {}}
    )
    write_runs(config, tmp_path / "fake")
    track(config, tmp_path / "fake")
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    runs = runs_of(client)
    parent = runs["satl seed-3"]
    scores = {
        key.known_ratio: json.loads((key.folder(tmp_path / "fake") / "metrics.json").read_text())[
            "selections"
        ]["last"]["mAP"]
        for key in run_keys(config)
        if key.seed == 3
    }
    curve = client.get_metric_history(parent.info.run_id, "mAP")
    assert {point.step: point.value for point in curve} == {10: scores[0.1], 50: scores[0.5]}
    assert parent.data.metrics["mAP/single_positive"] == scores["single_positive"]
    assert parent.data.metrics["mAP_average"] == (scores[0.1] + scores[0.5]) / 2
    children = [
        name for name, run in runs.items()
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    ]  # fmt: skip
    assert set(children) == {
        "satl known-0.10 seed-3", "satl known-0.50 seed-3", "satl known-single_positive seed-3"
    }  # fmt: skip


def test_a_child_stays_with_a_parent_that_is_replaced(store, template):
    client, uri = store
    parent = runs_of(client)["satl seed-0"].info.run_id
    client.delete_run(parent)
    assert track(CONFIG, template / "fake", uri)["added"] == 1
    after = runs_of(client)
    child = after["satl known-0.10 seed-0"]
    assert child.data.tags["mlflow.parentRunId"] == after["satl seed-0"].info.run_id != parent


def test_data_set_and_source_are_in_mlflow_s_own_fields(store):
    run = runs_of(store[0])["partial_bce known-0.10 seed-0"]
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("glyphs", "0" * 8)
    assert run.data.tags["mlflow.source.name"] == "baselines/partial_bce.py"


def test_the_experiment_is_described_by_links_and_its_table(store):
    tags = store[0].get_experiment_by_name("fake/glyphs").tags
    assert "a table" in tags["mlflow.note.content"]
    assert "(/#/experiments/1/runs?viewStateShareKey=curves" in tags["mlflow.note.content"]
    chart = json.loads(tags["mlflow.sharedViewState.curves"])["compareRunCharts"][0]
    score = runs_of(store[0])["satl seed-0"].data.metrics["mAP"]
    assert chart["range"]["yMin"] < score < chart["range"]["yMax"]


def test_links_of_a_store_that_is_not_there_yet(tmp_path):
    assert links(tmp_path, "http://localhost:5000") == {}
    assert (tmp_path / "mlflow.db").exists()  # for `mlflow ui`, which is then to be started


def test_the_uri_may_come_from_the_environment(template, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/elsewhere.db")
    assert track(CONFIG, template / "fake")["added"] == 5
    assert set(links(tmp_path, "http://x")["fake/glyphs"]) == {"mAP by known ratio", "runs by mAP"}


def test_a_new_store_shows_no_empty_experiment_and_an_old_one_is_left_alone(store, template):
    client, uri = store
    assert [found.name for found in client.search_experiments()] == ["fake/glyphs"]
    client.restore_experiment("0")
    track(CONFIG, template / "fake", uri)
    assert {found.name for found in client.search_experiments()} == {"fake/glyphs", "Default"}
    client.delete_experiment("0")


def test_metrics_by_epoch_are_steps(store):
    client, _ = store
    run_id = runs_of(client)["satl known-0.10 seed-0"].info.run_id
    assert [m.step for m in client.get_metric_history(run_id, "loss")] == [*range(1, EPOCHS + 1)]
    # There is no pseudo-label in the first two epochs, so no precision of any.
    precision = client.get_metric_history(run_id, "pseudo_positive_precision")
    assert [m.step for m in precision] == [*range(3, EPOCHS + 1)]


def test_artifacts_are_there(store):
    client, _ = store
    runs = runs_of(client)
    run_id = runs["satl known-0.10 seed-0"].info.run_id
    names = {file.path for file in client.list_artifacts(run_id)}
    assert names == {"config.yaml", "thresholds.parquet", "metrics.json"}
    report = runs["report"].info.run_id
    assert [f.path for f in client.list_artifacts(report, "tables")] == [
        "tables/glyphs-parts.md", "tables/glyphs.md"
    ]  # fmt: skip
    assert [f.path for f in client.list_artifacts(report, "figures")] == ["figures/glyphs-map.png"]


def test_again_adds_nothing(store, template):
    before = {run.info.run_id for run in runs_of(store[0]).values()}
    counts = track(CONFIG, template / "fake", store[1])
    assert counts == {"added": 0, "continued": 0, "unchanged": 5, "replaced": 0}
    assert {run.info.run_id for run in runs_of(store[0]).values()} == before


def test_a_changed_run_folder_replaces_its_run(store, template):
    client, uri = store
    before = runs_of(client)
    path = run_keys(CONFIG)[0].folder(template / "fake") / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["selections"]["last"]["mAP"] = 12.25
    write_json(path, metrics)
    counts = track(CONFIG, template / "fake", uri)
    # Its parent too: a point of the curve is another one.
    assert counts == {"added": 0, "continued": 0, "unchanged": 3, "replaced": 2}
    after = runs_of(client)
    name = "satl known-0.10 seed-0"
    assert after[name].data.metrics["mAP"] == 12.25
    assert after[name].info.run_id != before[name].info.run_id
    assert after["report"].info.run_id == before["report"].info.run_id


def test_what_a_killed_process_left_is_completed(store, template):
    client, uri = store
    name = "partial_bce known-0.10 seed-0"
    whole = runs_of(client)[name]
    client.delete_run(whole.info.run_id)
    # As it is left when the process dies after create_run: RUNNING, with its fingerprint.
    tags = {CONTENT: whole.data.tags[CONTENT]}
    left = client.create_run(whole.info.experiment_id, run_name=name, tags=tags)
    counts = track(CONFIG, template / "fake", uri)
    assert counts == {"added": 0, "continued": 1, "unchanged": 4, "replaced": 0}
    run = runs_of(client)[name]
    assert run.info.run_id == left.info.run_id
    assert run.info.status == "FINISHED" and "mAP" in run.data.metrics


def test_a_moved_store_gets_its_artifacts_in_the_new_place(template, tmp_path):
    shutil.copytree(template, tmp_path / "moved")
    uri = f"sqlite:///{tmp_path}/moved/mlflow.db"
    assert track(CONFIG, tmp_path / "moved" / "fake", uri)["added"] == 5
    run = runs_of(MlflowClient(uri))["report"]
    assert run.info.artifact_uri.startswith(str(tmp_path / "moved" / "mlartifacts"))


def test_a_store_that_cannot_be_used_is_named(template, tmp_path):
    (tmp_path / "mlflow.db").write_text("this is no database, but long enough to look like a file")
    with pytest.raises(UserError, match=r"mlflow\.db: cannot be used"):
        track(CONFIG, template / "fake", f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def full_disk():
    """What SQLAlchemy raises where SQLite finds no space for a row."""

    def refuse(connection, cursor, statement, *_):
        if statement.startswith("INSERT"):
            reason = sqlite3.OperationalError("database or disk is full")
            raise OperationalError(statement, None, reason)

    event.listen(Engine, "before_cursor_execute", refuse)
    yield
    event.remove(Engine, "before_cursor_execute", refuse)


def test_a_full_disk_is_said_in_one_line(template, tmp_path, full_disk, capfd):
    """MLflow logs a traceback of the same error beside our message."""
    shutil.copy(template / "mlflow.db", tmp_path)
    with pytest.raises(UserError, match=r"mlflow\.db: cannot be used .*disk is full"):
        track(CONFIG, template / "fake", f"sqlite:///{tmp_path}/mlflow.db")
    assert "Traceback" not in capfd.readouterr().err


def test_writers_of_one_database_wait_for_each_other(store, template):
    with ThreadPoolExecutor() as pool:
        with FileLock(f"{template}/mlflow.db.lock"):
            waiting = pool.submit(track, CONFIG, template / "fake", store[1])
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
        assert waiting.result(timeout=30)["unchanged"] == 5


def test_a_tracker_is_found_by_the_name_of_its_file():
    assert tracker("mlflow") is track
    with pytest.raises(UserError, match="--to wandb: no such tracker; there are mlflow"):
        tracker("wandb")
