"""Networks as ONNX files: onnxruntime gives the scores of the run's record."""

import json
import sys

import numpy as np
import onnxruntime
import pytest

from satl.cli import main
from satl.core.errors import UserError
from satl.data.images.batches import read_image
from satl.models.network import Network
from satl.prediction.onnx_file import export_onnx
from satl.runs.folder import RunFolder
from satl.training.model_file import read_model


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


# One for each kind of network.
@pytest.mark.parametrize("method", ["satl", "boost_lu", "sst", "sarb", "ml_gcn", "sr_st"])
def test_the_file_scores_as_the_record_does(kept, tmp_path, test_table, method):
    run, out = kept(method), tmp_path / "model.onnx"
    assert main(["export", str(run), "--format", "onnx", "--out", str(out)]) == 0
    recorded = RunFolder(run).predictions()["logits"][-1]
    images = np.stack([read_image(path, 16).numpy() for path in test_table.paths()])
    for count in (1, 5, 12):  # in batches of any size
        logits = session(out).run(["logits"], {"images": images[:count]})[0]
        assert np.abs(logits - recorded[:count]).max() < 1e-4
    facts, metadata = read_model(run).facts, session(out).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["categories"]) == list(facts.categories)
    assert json.loads(metadata["thresholds"]) == list(facts.thresholds)


def test_many_categories_are_exported_in_groups(kept, tmp_path, monkeypatch):
    monkeypatch.setattr("satl.models.decoupling.EXPORTED_GROUP", 3)
    assert export_onnx(read_model(kept()), tmp_path / "model.onnx") < 1e-5


def test_a_file_that_does_not_agree_is_not_written(kept, tmp_path, monkeypatch):
    run, calls = kept(), []
    real = Network.logits

    def drifting(self, maps):
        calls.append(maps)
        return real(self, maps) + 0.1 * len(calls)

    monkeypatch.setattr(Network, "logits", drifting)
    with pytest.raises(UserError, match="other scores than PyTorch"):
        export_onnx(read_model(run), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_network_that_cannot_be_exported_is_refused_in_words(kept, tmp_path, monkeypatch):
    run, real = kept(), Network.logits

    def looking_at_values(self, maps):
        return real(self, maps) if maps.sum().item() > 0 else real(self, -maps)

    monkeypatch.setattr(Network, "logits", looking_at_values)
    with pytest.raises(UserError, match=r"cannot be exported.*--format mlflow"):
        export_onnx(read_model(run), tmp_path / "model.onnx")


def test_missing_packages_are_named(kept, tmp_path, monkeypatch, capsys):
    run = kept()
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    out = tmp_path / "model.onnx"
    assert main(["export", str(run), "--format", "onnx", "--out", str(out)]) == 2
    assert "pip install onnx onnxruntime onnxscript" in capsys.readouterr().err
