"""The training loop: records, determinism to the bit, lanes, resuming, and errors."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from satl import engine
from satl.config import Model, Training
from satl.data.splits import split
from satl.data.table import LabelTable
from satl.engine import train
from satl.errors import UserError
from satl.jobs import RunSpec, Shared
from satl.models.backbone import initial_weights
from satl.records import THRESHOLD_COLUMNS, TRAIN_FILES, RunFolder
from satl.registry import METHODS

TRAINING = Training(
    epochs=3, batch_size=5, learning_rate=3e-3, lr_step=2, resize=18, image_size=16, workers=0,
    image_cache="memory",
)  # fmt: skip
MODEL = Model(backbone="tiny", weights="random", feature_dim=12, attention_dim=6)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "backbone.pt"
    torch.save(initial_weights("tiny", "random"), path)
    return path


@pytest.fixture
def shared(tmp_path, weights, test_table):
    return Shared(
        model=MODEL,
        training=TRAINING,
        test=test_table.without_labels(),
        weights=weights,
        checkpoints=tmp_path / "checkpoints",
        device=torch.device("cpu"),
    )


def spec(observed, folder, method="satl", **options):
    return RunSpec("x", "shapes", method, method, options, observed, folder)


def same_numbers(first: Path, second: Path) -> None:
    a, b = RunFolder(first), RunFolder(second)
    for x, y in (
        (a.predictions(), b.predictions()),
        (a.training_scores(), b.training_scores()),
    ):
        assert x.keys() == y.keys()
        for name in x:
            assert np.array_equal(x[name], y[name], equal_nan=x[name].dtype.kind == "f"), name
    assert a.thresholds().equals(b.thresholds())
    assert a.epochs().drop(columns="seconds").equals(b.epochs().drop(columns="seconds"))


def test_a_run_folder_holds_the_record(tmp_path, shared, observed):
    train(shared, [spec(observed, tmp_path / "run", q=0.9)])
    run = RunFolder(tmp_path / "run")
    assert sorted(p.name for p in run.path.iterdir()) == sorted(TRAIN_FILES)
    config = run.config()
    assert config["options"]["q"] == 0.9
    assert config["options"]["rule"] == "posterior"
    assert config["split"]["mask_sha256"] == observed.info["mask_sha256"]
    assert config["training"]["epochs"] == 3
    epochs = run.epochs()
    assert epochs.epoch.tolist() == [1, 2, 3]
    assert epochs.learning_rate.tolist() == pytest.approx([3e-3, 3e-3, 3e-4])
    thresholds = run.thresholds()
    assert tuple(thresholds.columns) == THRESHOLD_COLUMNS
    assert len(thresholds) == 3 * 4
    predictions = run.predictions()
    assert predictions["logits"].shape == (3, 12, 4)
    assert np.array_equal(predictions["image_ids"], shared.test.image_ids)
    scores = run.training_scores()
    assert scores["pseudo_labels"].shape == (3, 24, 4)
    assert not scores["pseudo_labels"][:, observed.labels != 0].any()
    counted = (scores["pseudo_labels"] > 0).sum((1, 2))
    assert epochs.pseudo_positives.tolist() == counted.tolist()
    assert not shared.checkpoints.exists() or not any(shared.checkpoints.iterdir())


def test_the_same_config_and_seed_give_the_same_bits(tmp_path, shared, observed):
    torch.manual_seed(123)
    train(shared, [spec(observed, tmp_path / "a")])
    torch.manual_seed(456)
    torch.rand(10)
    train(shared, [spec(observed, tmp_path / "b")])
    same_numbers(tmp_path / "a", tmp_path / "b")


def test_another_seed_gives_other_numbers(tmp_path, shared, observed, train_table):
    train(shared, [spec(observed, tmp_path / "a")])
    train(shared, [spec(split(train_table, 0.5, seed=1), tmp_path / "b")])
    a, b = (RunFolder(tmp_path / name).predictions()["logits"] for name in "ab")
    assert not np.array_equal(a, b)


def test_lanes_equal_separate_runs(tmp_path, shared, observed, train_table):
    few = split(train_table, 0.3)
    runs = [
        spec(observed, tmp_path / "satl"),
        spec(few, tmp_path / "few"),
        spec(observed, tmp_path / "pbce", "partial_bce"),
    ]
    for run in runs:
        train(shared, [replace(run, folder=run.folder.with_suffix(".alone"))])
    train(shared, runs)
    for run in runs:
        same_numbers(run.folder, run.folder.with_suffix(".alone"))


def test_lanes_must_share_images_and_seed(tmp_path, shared, observed, train_table):
    other = split(train_table, 0.5, seed=1)
    with pytest.raises(UserError, match="same images and the same seed"):
        train(shared, [spec(observed, tmp_path / "a"), spec(other, tmp_path / "b")])


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("stop_at", [1, 5, 9])
def test_resuming_gives_the_same_bits(tmp_path, shared, observed, monkeypatch, stop_at):
    """Stop in the first, second and third epoch (4 steps each), then go on."""
    train(shared, [spec(observed, tmp_path / "whole")])
    real, steps = engine.Lane.step, 0

    def step(lane, *arguments):
        nonlocal steps
        steps += 1
        if steps == stop_at:
            raise Interrupted
        real(lane, *arguments)

    monkeypatch.setattr(engine.Lane, "step", step)
    with pytest.raises(Interrupted):
        train(shared, [spec(observed, tmp_path / "run")])
    assert not (tmp_path / "run").exists()
    steps = -100
    train(shared, [spec(observed, tmp_path / "run")])
    same_numbers(tmp_path / "whole", tmp_path / "run")
    assert steps == -100 + 12 - 4 * ((stop_at - 1) // 4), "finished epochs are not repeated"


def test_lanes_resume_though_one_had_saved_an_epoch_more(tmp_path, shared, observed, monkeypatch):
    runs = [spec(observed, tmp_path / name, name) for name in ("satl", "partial_bce")]
    for run in runs:
        train(shared, [replace(run, folder=run.folder.with_suffix(".alone"))])
    real, saved = engine.Lane._save, 0

    def save(lane):
        nonlocal saved
        saved += 1
        if saved == 4:
            raise Interrupted
        real(lane)

    monkeypatch.setattr(engine.Lane, "_save", save)
    with pytest.raises(Interrupted):
        train(shared, runs)
    train(shared, runs)
    for run in runs:
        same_numbers(run.folder, run.folder.with_suffix(".alone"))


def test_a_checkpoint_of_other_options_is_not_used(tmp_path, shared, observed, monkeypatch):
    monkeypatch.setattr(engine.Lane, "discard_checkpoint", lambda lane: None)
    train(shared, [spec(observed, tmp_path / "a")])
    train(shared, [spec(observed, tmp_path / "b", ranking_weight=0.0)])
    assert len(list(shared.checkpoints.iterdir())) == 2


def test_a_run_folder_of_another_config_is_left_alone(tmp_path, shared, observed):
    train(shared, [spec(observed, tmp_path / "run")])
    with pytest.raises(UserError, match=r"run holds a run of another config \(options: .*0.95"):
        train(shared, [spec(observed, tmp_path / "run", q=0.9)])
    assert RunFolder(tmp_path / "run").config()["options"]["q"] == 0.95
    train(shared, [spec(observed, tmp_path / "run")])


def test_a_checkpoint_for_other_test_images_is_not_used(tmp_path, shared, observed, monkeypatch):
    stop_in_second_epoch(monkeypatch)
    with pytest.raises(Interrupted):
        train(shared, [spec(observed, tmp_path / "run")])
    monkeypatch.undo()
    fewer = replace(
        shared.test, file_names=shared.test.file_names[1:], image_ids=shared.test.image_ids[1:],
        labels=shared.test.labels[1:],
    )  # fmt: skip
    train(replace(shared, test=fewer), [spec(observed, tmp_path / "run")])
    assert RunFolder(tmp_path / "run").predictions()["logits"].shape == (3, 11, 4)


def stop_in_second_epoch(monkeypatch):
    real = engine.Lane.begin_epoch

    def begin(lane):
        if lane.epochs_done == 1:
            raise Interrupted
        real(lane)

    monkeypatch.setattr(engine.Lane, "begin_epoch", begin)


def test_an_infinite_loss_stops_and_keeps_the_last_checkpoint(
    tmp_path, shared, observed, monkeypatch
):
    monkeypatch.setattr(engine.Lane, "discard_checkpoint", lambda lane: None)
    wild = replace(shared, training=TRAINING.model_copy(update={"learning_rate": 1e30}))
    with pytest.raises(UserError, match=r"not finite in epoch \d.* training.learning_rate"):
        train(wild, [spec(observed, tmp_path / "run")])
    assert not (tmp_path / "run").exists()


def test_categories_must_agree(tmp_path, shared, observed):
    other = LabelTable(
        shared.test.folder, shared.test.file_names, shared.test.image_ids,
        ("red", "green", "blue", "light"), shared.test.labels,
    )  # fmt: skip
    with pytest.raises(UserError, match=r"only in training: \['dark'\]"):
        train(replace(shared, test=other), [spec(observed, tmp_path / "run")])


def test_an_unknown_option_is_named(tmp_path, shared, observed):
    with pytest.raises(UserError, match=r"(?s)methods.satl.*qq: unknown key.*did you mean 'q'"):
        train(shared, [spec(observed, tmp_path / "run", qq=1)])


def test_training_changes_neither_the_frozen_stages_nor_their_batch_norm(
    tmp_path, shared, observed
):
    trainer = engine._Trainer(shared, [spec(observed, tmp_path / "run")], seed=0)
    before = {k: v.clone() for k, v in trainer.frozen.state_dict().items()}
    trained = {k: v.clone() for k, v in trainer.lanes[0].model.state_dict().items()}
    trainer.run()
    after = trainer.frozen.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items())
    assert not any(p.requires_grad for p in trainer.frozen.parameters())
    now = trainer.lanes[0].model.state_dict()
    assert not torch.equal(now["last_stage.0.conv1.weight"], trained["last_stage.0.conv1.weight"])


@pytest.mark.parametrize("method", METHODS)
def test_the_tiny_run_of_every_method_learns(tmp_path, shared, observed, method):
    longer = replace(shared, training=TRAINING.model_copy(update={"epochs": 6, "lr_step": 6}))
    train(longer, [spec(observed, tmp_path / "run", method)])
    # Other parts of the loss come in, or grow in weight, on the way.
    known = RunFolder(tmp_path / "run").epochs().filter(regex="^loss_known")
    assert (known.iloc[-1] < known.iloc[0]).all()
    assert known.shape[1] == 1


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_bits(tmp_path, shared, observed, weights):
    """SIGKILL, as a cluster does it, at a moment after the first checkpoint."""
    observed.save(tmp_path / "observed.npz")
    shared.test.save(tmp_path / "test.npz")
    config = tmp_path / "x.yaml"
    config.write_text(
        "name: x\n"
        "datasets: {d: {format: glyphs}}\n"
        "methods: {satl: }\n"
        "known_ratios: [0.5]\n"
        "model: {backbone: tiny, weights: random, feature_dim: 12, attention_dim: 6}\n"
        "training: {epochs: 40, batch_size: 5, resize: 18, image_size: 16, workers: 0}\n"
    )

    def command(out, checkpoints):
        return [
            sys.executable, "-m", "satl", "train", "--config", str(config), "--dataset", "d",
            "--method", "satl", "--observed", str(tmp_path / "observed.npz"),
            "--test-images", str(tmp_path / "test.npz"), "--weights", str(weights),
            "--checkpoints", str(tmp_path / checkpoints), "--device", "cpu",
            "--out", str(tmp_path / out),
        ]  # fmt: skip

    subprocess.run(command("whole", "c1"), check=True, capture_output=True)
    process = subprocess.Popen(command("run", "c2"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("c2/*/state.pt")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "run").exists()
    done = subprocess.run(command("run", "c2"), check=True, capture_output=True, text=True)
    assert "epoch 1/40" not in done.stderr
    same_numbers(tmp_path / "whole", tmp_path / "run")
