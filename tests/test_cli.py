"""The commands as a person types them: what they print, and how they fail."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from satl.cli import main
from satl.data.table import LabelTable
from satl.models.backbone import initial_weights

CONFIG = """
name: x
device: cpu
datasets: {shapes: {format: glyphs}}
methods: {satl: , mine: {method: partial_bce}}
known_ratios: [0.5]
model: {backbone: tiny, weights: random, feature_dim: 12, attention_dim: 6}
training: {epochs: 2, batch_size: 5, resize: 18, image_size: 16, workers: 0}
"""


@pytest.fixture
def folder(tmp_path, train_table, test_table, observed):
    (tmp_path / "x.yaml").write_text(CONFIG)
    train_table.save(tmp_path / "train.npz")
    test_table.save(tmp_path / "test.npz")
    test_table.without_labels().save(tmp_path / "test-images.npz")
    observed.save(tmp_path / "observed.npz")
    torch.save(initial_weights("tiny", "random"), tmp_path / "w.pt")
    return tmp_path


def train_command(folder, method="satl", observed="observed.npz", out="run", **changes):
    options = {
        "--config": folder / "x.yaml", "--dataset": "shapes",
        "--test-images": folder / "test-images.npz", "--weights": folder / "w.pt",
        "--store": folder / "s",
    } | changes  # fmt: skip
    words = [str(word) for pair in options.items() for word in pair]
    return ["train", "--run", method, str(folder / observed), str(folder / out), *words]


def fails(capsys, arguments, *messages):
    assert main([str(a) for a in arguments]) == 2
    error = capsys.readouterr().err
    for message in messages:
        assert message in error
    assert "Traceback" not in error


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    commands = (
        "prepare table images split backbone train status evaluate report track predict export"
    )
    for command in commands.split():
        assert f"\n    {command} " in text


def test_table_split_train_evaluate_by_hand(folder, coco_folder, capsys):
    part = coco_folder / "train"
    assert main(
        ["table", str(part / "instances.json"), "--images", str(part / "images"),
         "--out", str(folder / "t.npz")]
    ) == 0  # fmt: skip
    counts = json.loads(capsys.readouterr().out)
    assert counts["images"] == 24
    assert counts["categories"] == 4
    split = ["split", str(folder / "t.npz"), "--known-ratio", "0.5", "--out"]
    assert main([*split, str(folder / "s.npz")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["unknown_labels"] == (LabelTable.load(folder / "s.npz").labels == 0).sum()
    assert len(facts["mask_sha256"]) == 64
    assert main(train_command(folder, "mine")) == 0
    truth = ["--observed", "observed.npz", "--train", "train.npz", "--test", "test.npz"]
    words = [str(folder / w) if w.endswith("npz") else w for w in truth]
    assert main(["evaluate", str(folder / "run"), *words]) == 0
    metrics = json.loads((folder / "run/metrics.json").read_text())
    assert metrics["selections"]["last"]["epoch"] == 2
    assert len(metrics["epochs"]) == 2


def test_training_reads_no_labels_of_the_test_set(folder, test_table):
    """The same run, whatever the test labels are: they are not in the file it is given."""
    main(train_command(folder))
    first = np.load(folder / "run/predictions.npz")["logits"]
    flipped = LabelTable(
        test_table.folder, test_table.file_names, test_table.image_ids, test_table.categories,
        -test_table.labels,
    )  # fmt: skip
    flipped.without_labels().save(folder / "test-images.npz")
    main(train_command(folder, out="again"))
    assert np.array_equal(np.load(folder / "again/predictions.npz")["logits"], first)


def test_full_labels_are_no_split(folder, capsys):
    wrong = train_command(folder, observed="train.npz")
    fails(capsys, wrong, "no partial-label split", "satl split")


def test_a_split_is_not_split_again(folder, capsys):
    words = ["split", folder / "observed.npz", "--known-ratio", "0.5", "--out", folder / "s.npz"]
    fails(capsys, words, "its labels were hidden here", "full label table")


def test_a_split_of_another_kind(folder, capsys):
    words = ["split", folder / "train.npz", "--out", folder / "s.npz", "--observe"]
    assert main([*map(str, words), "two: {kind: single_positive, positives: 2}"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["known_ratio"] == "two" and facts["observe"]["positives"] == 2
    assert (LabelTable.load(folder / "s.npz").labels >= 0).all()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("singel_positive", "unknown kind 'singel_positive'; the kinds are as_is, "),
        ("single_positive: {positivess: 2}", "observe.single_positive.positivess: unknown key"),
        ("{a: {kind: as_is}, b: {kind: as_is}}", "names 2 settings; give one"),
        ("{a", "--observe '{a'"),
        ("[a]", "must be a mapping of names to options"),
    ],
)
def test_a_setting_that_is_none(folder, capsys, setting, message):
    words = ["split", folder / "train.npz", "--out", folder / "s.npz", "--observe", setting]
    fails(capsys, words, message)
    assert not (folder / "s.npz").exists()


def test_nothing_to_track_makes_no_store(folder, capsys):
    words = ["track", "--config", folder / "x.yaml", "--results", folder / "r"]
    fails(capsys, words, "no evaluated run to track")
    assert not (folder / "r").exists()


def test_an_output_that_is_a_file_is_refused_before_training(folder, capsys):
    (folder / "run").touch()
    fails(capsys, train_command(folder), "run is a file")
    assert not (folder / "c").exists()


def test_unknown_names(folder, capsys):
    fails(capsys, train_command(folder, "stal"), "unknown method 'stal'", "satl, mine")
    wrong = train_command(folder, **{"--dataset": "coco"})
    fails(capsys, wrong, "unknown dataset 'coco'", "shapes")


def test_missing_files(folder, capsys):
    for option, what in (
        ("--test-images", "label table"), ("--weights", "weights file"),
        ("--config", "no such file"),
    ):  # fmt: skip
        wrong = train_command(folder, **{option: folder / "nowhere"})
        fails(capsys, wrong, "nowhere", what)
    fails(capsys, train_command(folder, observed="nowhere"), "nowhere: no such label table")


def test_foreign_weights(folder, capsys):
    (folder / "w.pt").write_bytes(b"nonsense")
    fails(capsys, train_command(folder), "w.pt: not a PyTorch state_dict")
    torch.save(initial_weights("resnet18", "random"), folder / "w.pt")
    fails(capsys, train_command(folder), "not weights of backbone 'tiny'")


def test_an_unavailable_device(folder, capsys):
    wrong = train_command(folder, **{"--device": "cuda:99"})
    fails(capsys, wrong, "--device cuda:99", "try auto")


@pytest.mark.parametrize("option", ["--config", "--configfile"])
@pytest.mark.parametrize("command", ["check", "download", "estimate", "report", "track"])
def test_one_option_names_the_experiment_in_all_commands(command, option, folder, capsys):
    fails(capsys, [command, option, folder / "nowhere.yaml"], "nowhere.yaml: no such file")


def test_a_ratio_outside_0_1(folder, capsys):
    words = ["split", folder / "train.npz", "--known-ratio", "1.5", "--out", folder / "s.npz"]
    fails(capsys, words, "known ratio 1.5 is outside (0, 1]")
    assert not (folder / "s.npz").exists()


def test_a_truncated_picture_stops_training_with_its_name(folder, capsys, observed, tmp_path):
    import shutil
    from dataclasses import replace
    from pathlib import Path

    shutil.copytree(observed.folder, tmp_path / "pictures")
    broken = Path(tmp_path / "pictures", observed.file_names[5])
    broken.write_bytes(broken.read_bytes()[:300])
    replace(observed, folder=str(tmp_path / "pictures")).save(folder / "observed.npz")
    fails(capsys, train_command(folder), "0005.jpg: cannot be decoded", "fetch this file again")


def images_command(folder, side, *options):
    return [
        "images", str(folder / "train.npz"), "--side", str(side), "--workers", "1",
        "--pixels-out", str(folder / "train.npy"), "--out", str(folder / "t.npz"), *options,
    ]  # fmt: skip


def test_training_on_decoded_images_gives_the_same_bits(folder, capsys):
    assert main(images_command(folder, 18, "--images-out", str(folder / "i.npz"))) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts["images"] == 24
    assert counts["unreadable_dropped"] == 0
    images = LabelTable.load(folder / "i.npz")
    assert images.file_names == LabelTable.load(folder / "t.npz").file_names
    assert not images.labels.any()
    test = ["images", "test.npz", "--side", "16", "--pixels-out", "test.npy", "--out", "o.npz"]
    assert main([str(folder / w) if "." in w else w for w in test]) == 0
    assert main(train_command(folder)) == 0
    text = CONFIG.replace("workers: 0", "workers: 0, image_cache: disk")
    (folder / "disk.yaml").write_text(text)
    changes = {
        "--config": folder / "disk.yaml",
        "--train-pixels": folder / "train.npy", "--test-pixels": folder / "test.npy",
    }  # fmt: skip
    assert main(train_command(folder, out="disk", **changes)) == 0
    first, second = (np.load(folder / f"{run}/predictions.npz") for run in ("run", "disk"))
    assert np.array_equal(first["logits"], second["logits"])


def test_decoded_images_that_are_wrong_or_missing_stop_training(folder, capsys):
    (folder / "x.yaml").write_text(CONFIG.replace("workers: 0", "workers: 0, image_cache: disk"))
    fails(capsys, train_command(folder), "image_cache is disk", "--train-pixels FILE")
    assert main(images_command(folder, 20)) == 0
    wrong = train_command(folder, **{"--train-pixels": folder / "train.npy"})
    fails(capsys, wrong, "its images have 20 pixels, not 18", "delete")


def test_pixels_and_their_side_go_together(folder, capsys):
    words = ["images", folder / "train.npz", "--out", folder / "t.npz", "--side", 16]
    fails(capsys, words, "--pixels-out and --side go together")
    fails(capsys, images_command(folder, 0), "--side 0: must be at least 1")
    fails(capsys, images_command(folder, 16, "--pixels-out", folder / "p"), "p: its name must end")


def test_evaluation_refuses_tables_of_another_run(folder, capsys, train_table):
    from satl.data.splits import split

    assert main(train_command(folder)) == 0
    capsys.readouterr()
    split(train_table, 0.4).save(folder / "other.npz")

    def words(observed, test):
        return ["evaluate", folder / "run", "--observed", folder / observed,
                "--train", folder / "train.npz", "--test", folder / test]  # fmt: skip

    fails(capsys, words("other.npz", "test.npz"), "trained on other partial labels")
    fails(capsys, words("observed.npz", "train.npz"), "predictions.npz: its images or categories")
    fails(
        capsys,
        words("observed.npz", "test-images.npz"),
        "given as ground truth is a split or a list of images",
    )
    two = [*words("observed.npz", "test.npz"), "--out", folder / "a", folder / "b"]
    fails(capsys, two, "--out names 2 paths for 1 runs")


def test_a_report_without_runs(folder, capsys):
    words = ["report", "--config", folder / "x.yaml", "--results", folder]
    fails(capsys, words, "no evaluated run")


@pytest.mark.skipif(
    not hasattr(torch.cuda, "is_available") or torch.cuda.is_available(), reason="GPU"
)
def test_auto_takes_the_cpu_where_there_is_nothing_else():
    from satl.training.engine import choose_device

    assert choose_device("auto").type in ("cpu", "mps")


def test_a_reader_that_has_seen_enough_ends_a_command_quietly():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "satl", "schema"], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
