"""Following runs in MLflow while they train: what is shown, and that a death does no harm."""

import json
import logging
import os
import random
import shutil
import socket
from contextlib import ExitStack, suppress

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from satl import metrics
from satl.core.files import write_json
from satl.core.locks import held
from satl.data.table import LabelTable
from satl.runs.folder import RunFolder, run_keys
from satl.tracking.mlflow import follow, following, track
from satl.tracking.mlflow.tracking import Sender
from satl.tracking.mlflow.watching import Watcher
from satl.training.history import History
from tests.fake_runs import CATEGORIES, EPOCHS, experiment, write_run

CONFIG = experiment(methods={"satl": {}, "partial_bce": {}}, known_ratios=[0.1, 0.5])
KEY = run_keys(CONFIG)[0]
NAME = "satl known-0.10 seed-0"
DEAD = f"process 999999999 on {socket.gethostname()}\n"


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """Creating a database is what takes long."""
    folder = tmp_path_factory.mktemp("empty")
    with Sender(CONFIG, folder / "fake").store.opened():
        return folder / "mlflow.db"


class Training:
    """A run in training, of which the test says when an epoch ends; it is the one that `write_run`
    would write.
    """

    def __init__(self, root, key=KEY):
        self.results, self.key = root / "fake", key
        done = RunFolder(write_run(CONFIG, root / "later", key))
        self.lines, self.thresholds = done.epoch_lines(), done.thresholds()
        self.folder = key.within(self.results / "trained") / "0123"
        write_json(self.folder / "fingerprint.json", done.run()["fingerprint"])
        self.history = History(CATEGORIES, self.folder / "checkpoint")
        self.process = ExitStack()
        self.start()

    def start(self):
        self.process.enter_context(held(self.folder / "checkpoint/.lock", "the test"))

    def die(self):
        self.process.close()
        (self.folder / "checkpoint/.lock").write_text(DEAD)

    def end_epoch(self):
        epoch = len(self.history.metrics) + 1
        line = self.lines[epoch - 1]
        rows = self.thresholds[self.thresholds["epoch"] == epoch]
        values = {name: torch.tensor(rows[name].to_numpy()) for name in ("tau_pos", "tau_neg")}
        logits = np.random.default_rng(epoch).normal(size=(40, len(CATEGORIES)))
        self.history.add(line, values, {"predicted_logits": logits.astype(np.float32)})
        self.history.write()
        return logits.astype(np.float32)

    def be_evaluated(self):
        self.process.close()
        shutil.rmtree(self.folder)
        write_run(CONFIG, self.results, self.key)


@pytest.fixture
def training(tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    training = Training(tmp_path)
    yield training
    training.process.close()


def send(training, sender=None, watcher=None):
    sender = sender or Sender(CONFIG, training.results)
    sender.send_new((watcher or Watcher(CONFIG, training.results)).look())


def client_of(root):
    return MlflowClient(f"sqlite:///{root}/mlflow.db")


def runs_of(root):
    client = client_of(root)
    found = client.search_runs([client.get_experiment_by_name("fake/glyphs").experiment_id])
    return {run.info.run_name: run for run in found}


def told(root):
    """All that MLflow knows but times and ids."""
    client, runs = client_of(root), runs_of(root)
    names = {run.info.run_id: name for name, run in runs.items()}
    return {
        name: (
            run.info.status,
            run.data.params,
            {k: names.get(v, v) for k, v in run.data.tags.items() if k != "run_folder"},
            sorted(
                (metric, point.step, point.value)
                for metric in run.data.metrics
                for point in client.get_metric_history(run.info.run_id, metric)
            ),
            sorted(file.path for file in client.list_artifacts(run.info.run_id)),
        )
        for name, run in runs.items()
    }


def test_an_epoch_is_shown_with_its_test_map_and_thresholds(training, tmp_path):
    labels = np.random.default_rng(0).choice(np.array([-1, 1], np.int8), (30, len(CATEGORIES)))
    names = tuple(f"{number}.png" for number in range(30))
    test = LabelTable("images", names, np.arange(30), CATEGORIES, labels)
    test.save(training.results / "data/glyphs/test.npz")
    logits = training.end_epoch()
    send(training)
    run = runs_of(tmp_path)[NAME]
    assert run.info.status == "RUNNING"
    # Ten images held out of training are predicted as well, before those of the test.
    assert run.data.metrics["test_mAP"] == pytest.approx(100 * metrics.mean_ap(logits[10:], labels))
    rows = training.thresholds[training.thresholds["epoch"] == 1]
    finite = rows["tau_pos"][np.isfinite(rows["tau_pos"])]
    assert run.data.metrics["tau_pos_median"] == pytest.approx(finite.median())
    low, high = finite.quantile([0.25, 0.75])
    assert run.data.metrics["tau_pos_spread"] == pytest.approx(high - low)
    assert run.data.metrics["learning_rate"] == 1e-5
    assert run.data.metrics["pseudo_positives"] == 10
    parent = runs_of(tmp_path)["satl seed-0"]
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.info.status == "RUNNING" and "mAP" not in parent.data.metrics


def test_each_epoch_is_logged_once_whoever_follows(training, tmp_path):
    sender, watcher = Sender(CONFIG, training.results), Watcher(CONFIG, training.results)
    for _ in range(3):
        training.end_epoch()
        send(training, sender, watcher)
    before = watcher.look()
    assert watcher.look()[KEY] is before[KEY]  # nothing is read again
    send(training)  # another follower
    training.end_epoch()
    send(training)
    client = client_of(tmp_path)
    history = client.get_metric_history(runs_of(tmp_path)[NAME].info.run_id, "loss")
    assert [point.step for point in history] == [1, 2, 3, 4]


def test_mlflow_is_asked_for_the_runs_alone_that_have_something_new(training, monkeypatch):
    other = Training(
        training.results.parent, next(k for k in run_keys(CONFIG) if k.method != "satl")
    )
    with other.process:
        sender, watcher = Sender(CONFIG, training.results), Watcher(CONFIG, training.results)
        for run in (training, other):
            run.end_epoch()
        send(training, sender, watcher)
        found, real = [], MlflowClient.search_runs

        def search(*arguments, **options):
            page = real(*arguments, **options)
            found.extend(run.info.run_name for run in page)
            return page

        monkeypatch.setattr(MlflowClient, "search_runs", search)
        training.end_epoch()
        send(training, sender, watcher)
    assert sorted(found) == [NAME, "satl seed-0"]


def test_a_killed_run_is_not_left_running_and_goes_on_as_the_same(training, tmp_path):
    training.end_epoch()
    send(training)
    first = runs_of(tmp_path)[NAME].info
    training.die()
    track(CONFIG, training.results)
    killed = runs_of(tmp_path)
    assert killed[NAME].info.status == killed["satl seed-0"].info.status == "KILLED"
    training.start()
    training.end_epoch()
    send(training)
    assert runs_of(tmp_path)[NAME].info.status == "RUNNING"
    assert runs_of(tmp_path)[NAME].info.run_id == first.run_id


def test_with_the_workflow_s_end_nothing_is_left_running(training, tmp_path, monkeypatch):
    training.end_epoch()
    lock = training.results / ".lock"
    lock.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")

    def pause(_):  # the training dies, and only then the workflow
        if "process 999999999" in (training.folder / "checkpoint/.lock").read_text():
            lock.write_text(DEAD)
        training.die()

    monkeypatch.setattr(following.time, "sleep", pause)
    follow(CONFIG, training.results, while_workflow=True)
    assert {run.info.status for run in runs_of(tmp_path).values()} == {"KILLED"}


def test_a_run_whose_training_has_vanished_is_not_left_running(training, tmp_path):
    training.end_epoch()
    send(training)
    other = Training(tmp_path, run_keys(CONFIG)[1])
    training.process.close()
    shutil.rmtree(training.folder)
    track(CONFIG, training.results)
    assert runs_of(tmp_path)[NAME].info.status == "KILLED"
    other.process.close()


def test_it_comes_out_as_without_a_follower(training, tmp_path, empty_store):
    sender, watcher = Sender(CONFIG, training.results), Watcher(CONFIG, training.results)
    for _ in range(EPOCHS):
        training.end_epoch()
    send(training, sender, watcher)
    live = runs_of(tmp_path)[NAME].info.run_id
    training.be_evaluated()
    send(training, sender, watcher)
    counts = track(CONFIG, training.results)
    assert counts == {"added": 0, "continued": 1, "unchanged": 1, "replaced": 0}
    assert runs_of(tmp_path)[NAME].info.run_id == live
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(empty_store, alone / "mlflow.db")
    track(CONFIG, training.results, f"sqlite:///{alone}/mlflow.db")
    assert told(tmp_path) == told(alone)


class Killed(BaseException):
    """What a SIGKILL would be, if it could be raised."""


def test_ten_deaths_at_any_moment_change_nothing(training, tmp_path, empty_store, monkeypatch):
    alone = tmp_path / "alone"
    alone.mkdir()
    for folder in (alone / "mlflow.db", tmp_path / "mlflow.db"):
        shutil.copy(empty_store, folder)
    moments = random.Random(0)
    calls = ("create_run", "log_batch", "set_tag", "set_terminated", "log_artifact", "log_inputs")
    for death in range(10):
        if death < EPOCHS:
            training.end_epoch()
        if death == 8:
            training.be_evaluated()
        left = [moments.randrange(1, 8)]
        with monkeypatch.context() as patch:
            for name in calls:
                patch.setattr(MlflowClient, name, _dying(getattr(MlflowClient, name), left))
            with suppress(Killed):
                send(training)
    track(CONFIG, training.results)
    track(CONFIG, training.results, f"sqlite:///{alone}/mlflow.db")
    assert told(tmp_path) == told(alone)


def _dying(call, left):
    def until_the_end(*args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return call(*args, **kwargs)

    return until_the_end


def test_a_store_that_cannot_be_used_is_said_and_harms_nobody(training, tmp_path, caplog):
    training.end_epoch()
    (tmp_path / "mlflow.db").write_text("this is no database, but long enough to look like a file")
    with caplog.at_level(logging.WARNING):
        follow(CONFIG, training.results, while_workflow=True)  # no workflow: one look
    assert "cannot be used as MLflow store" in caplog.text and "trying again" in caplog.text


def test_a_folder_of_another_config_is_said_and_the_others_are_shown(training, tmp_path, caplog):
    training.end_epoch()
    other = write_run(CONFIG, training.results, run_keys(CONFIG)[-1])
    record = json.loads((other / "run.json").read_text())
    record["fingerprint"]["seed"] = 7
    write_json(other / "run.json", record)
    follow(CONFIG, training.results, while_workflow=True)
    assert "made with other settings" in caplog.text
    assert NAME in runs_of(tmp_path)
