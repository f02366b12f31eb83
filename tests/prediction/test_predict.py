"""Scores of images on disk: those of the run's record, whatever lies beside the images."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from trials import spec

from satl.cli import main
from satl.core.errors import UserError
from satl.core.places import METHODS
from satl.prediction.images import find_images
from satl.prediction.predictor import Predictor
from satl.prediction.table import decided, probabilities
from satl.runs.folder import RunFolder
from satl.training.cache_features import cache_features
from satl.training.engine import train
from satl.training.model_file import read_model

CPU = torch.device("cpu")


def predicted(folder, files):
    predictor = Predictor(read_model(folder), CPU)
    return np.stack([one.logits for one in predictor.predict(files)])


def recorded(folder):
    return RunFolder(folder).predictions()["logits"][-1]


@pytest.mark.parametrize("method", METHODS)
def test_the_scores_of_every_method_are_those_of_its_record(kept, test_table, method):
    folder = kept(method)
    assert np.array_equal(predicted(folder, test_table.paths()), recorded(folder))


@pytest.mark.parametrize(
    "training",
    [{"precision": "bf16"}, {"eval_batch_size": 5}, {"workers": 2, "image_cache": "none"}],
)
def test_they_are_in_other_protocols_too(kept, test_table, training):
    folder = kept(**training)
    assert np.array_equal(predicted(folder, test_table.paths()), recorded(folder))


def test_as_in_training_few_images_at_once_go_through_the_frozen_stages(
    kept, test_table, monkeypatch
):
    predictor = Predictor(read_model(kept()), CPU)
    pixels = predictor.training.image_size**2
    monkeypatch.setattr("satl.training.few_at_once.CPU_PIXELS", 2 * pixels)
    sizes = []
    predictor.network.frozen.register_forward_hook(
        lambda module, inputs, maps: sizes.append(len(inputs[0]))
    )
    assert len([*predictor.predict(test_table.paths())]) == sum(sizes)
    assert max(sizes) == 2


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "resnet18", "test_vit"])
@pytest.mark.parametrize("frozen", ["all", "none"])
def test_they_are_with_other_backbones(tmp_path, shared, observed, test_table, backbone, frozen):
    from satl.models.backbone import initial_weights

    weights = tmp_path / "w.pt"
    torch.save(initial_weights(backbone, "random"), weights)
    changes = {"keep_weights": "last", "epochs": 1, "resize": 36, "image_size": 32}
    there = replace(
        shared,
        weights=weights,
        model=shared.model.model_copy(update={"backbone": backbone, "frozen": frozen}),
        training=shared.training.model_copy(update=changes),
    )
    train(there, [spec(observed, tmp_path / "run")])
    found = predicted(tmp_path / "run", test_table.paths())
    assert np.array_equal(found, recorded(tmp_path / "run"))


def test_they_are_where_feature_maps_were_cached(tmp_path, shared, observed, test_table, weights):
    changes = {"keep_weights": "last", "cached_views": 2}
    training = shared.training.model_copy(update=changes)
    files = {part: tmp_path / f"{part}.npy" for part in ("train", "test")}
    for part, table in (("train", observed), ("test", test_table)):
        cache_features(table, part, shared.model, training, weights, CPU, files[part])
    there = replace(shared, training=training, features=files)
    train(there, [spec(observed, tmp_path / "run")])
    found = predicted(tmp_path / "run", test_table.paths())
    assert np.array_equal(found, recorded(tmp_path / "run"))


@pytest.fixture
def run(kept):
    return kept()


def predict(run, *arguments):
    return main(["predict", str(run), *map(str, arguments), "--device", "cpu"])


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_csv_has_decisions_and_scores(run, test_table, tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert predict(run, test_table.folder, "--out", out) == 0
    facts, logits = read_model(run).facts, recorded(run)
    table = rows(out)
    assert [*table[0]] == [
        "image", "red", "green", "blue", "dark",
        "red score", "green score", "blue score", "dark score",
    ]  # fmt: skip
    assert [row["image"] for row in table] == [str(path) for path in test_table.paths()]
    names = facts.categories
    found = np.array([[float(row[f"{name} score"]) for name in names] for row in table])
    assert np.allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    present = np.array([[int(row[name]) for name in names] for row in table])
    assert np.array_equal(present, logits >= np.array(facts.thresholds))
    assert 0 < present.sum() < present.size
    assert capsys.readouterr().out == f"{out}: 12 images\n"


def test_unreadable_images_are_named_and_the_others_predicted(run, test_table, tmp_path, capsys):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for path in test_table.paths()[:3]:
        shutil.copy(path, folder)
    (folder / "0001.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image either, and not called one")
    (folder / "zero.png").touch()
    assert predict(run, folder, "--out", tmp_path / "out.csv", "--batch-size", 2) == 1
    names = [Path(row["image"]).name for row in rows(tmp_path / "out.csv")]
    assert names == [
        "0000.jpg",
        "0002.jpg",
    ]
    said = capsys.readouterr().err
    assert "warning: 2 of 4 images cannot be read:" in said
    assert f"{folder / '0001.jpg'}: no image, or of a kind that Pillow cannot read\n" in said
    assert "zero.png" in said


def test_a_category_that_no_label_could_decide_is_named(
    kept, tmp_path, test_table, capsys, observed
):
    from satl.training import model_file

    plain = model_file.f1_thresholds

    def without_green(scores, labels):
        return plain(scores, np.where(np.arange(4) == 1, 0, labels))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_file, "f1_thresholds", without_green)
        run = kept()
    assert predict(run, test_table.paths()[0], "--out", tmp_path / "out.csv") == 0
    assert "decided at score 0.5, as the training images had no known" in capsys.readouterr().out
    assert read_model(run).facts.thresholds[1] == 0


def test_where_nothing_can_be_read_nothing_is_written(run, tmp_path, capsys):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    assert predict(run, bad, "--out", tmp_path / "out.csv") == 2
    assert "no image can be read" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_a_batch_too_large_for_the_gpu_says_what_to_do(run, test_table, tmp_path, capsys):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "logits", full)
        assert predict(run, test_table.folder, "--out", tmp_path / "out.csv") == 2
    assert "batches of 12 images; give a smaller --batch-size" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("option", ["--batch-size", "--threads"])
def test_a_bad_option_is_named(run, test_table, tmp_path, capsys, option):
    assert predict(run, test_table.folder, "--out", tmp_path / "out.csv", option, 0) == 2
    assert "greater than or equal to 1" in capsys.readouterr().err


def test_files_and_folders_each_once_in_order(tmp_path):
    for name in ("b/2.JPG", "b/sub/1.png", "a.webp", "b/x.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = ["b", "a.webp", "b/2.JPG"]
    found = find_images([tmp_path / name for name in names])
    assert [str(p.relative_to(tmp_path)) for p in found] == ["b/2.JPG", "b/sub/1.png", "a.webp"]
    with pytest.raises(UserError, match=r"gone\.jpg: no such file or folder"):
        find_images([tmp_path / "gone.jpg"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: has no file that is called like an image"):
        find_images([tmp_path / "empty"])


def test_the_model_file_is_enough(run, tmp_path, test_table):
    shutil.copy(run / "model.safetensors", tmp_path / "alone.safetensors")
    expected = recorded(run)
    shutil.rmtree(run)
    assert np.array_equal(predicted(tmp_path / "alone.safetensors", test_table.paths()), expected)


def test_what_is_wrong_with_a_model_is_said(run, tmp_path, shared, observed):
    train(shared, [spec(observed, tmp_path / "plain", q=0.9)])
    with pytest.raises(UserError, match=r"plain: holds no model.safetensors. Set training.keep_w"):
        read_model(tmp_path / "plain")
    with pytest.raises(UserError, match="gone: no such model file"):
        read_model(tmp_path / "gone")
    model = run / "model.safetensors"
    content = model.read_bytes()
    model.unlink()
    model.write_bytes(content[:-100])
    with pytest.raises(UserError, match="no model file of `satl train`, or damaged"):
        read_model(run)
    model.write_bytes(content.replace(b'\\"feature_dim\\":12', b'\\"feature_dim\\":13'))
    with pytest.raises(UserError, match="another version of this code"):
        read_model(run)
    model.write_bytes(content.replace(b'\\"method\\":\\"satl\\"', b'\\"method\\":\\"salt\\"'))
    with pytest.raises(UserError, match="is of the method 'salt', which is not here"):
        read_model(run)


def test_decisions_compare_at_full_precision():
    class Facts:
        thresholds = (0.1, float(np.float32(0.1)))

    assert decided(Facts, np.array([0.1, 0.1], dtype=np.float32)).tolist() == [True, True]
    assert decided(Facts, np.nextafter(np.float32([0.1, 0.1]), np.float32(0))).tolist() == [
        False, False,
    ]  # fmt: skip
    assert probabilities(np.array([-800.0, 0, 800], dtype=np.float32)).tolist() == [0, 0.5, 1]
