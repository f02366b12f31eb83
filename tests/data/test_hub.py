"""Weights from timm's hub: fetched by name, recorded, checked, and used like any others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
import yaml
from file_server import Reply, serving
from safetensors.torch import load_file, save

from satl.config import parse
from satl.core.errors import UserError
from satl.download.needs import needed, weights_path
from satl.download.provide import provide
from satl.models.backbone import check_backbone

ROOT = Path(__file__).parents[2]
FILE = "test_vit.r160_in1k.safetensors"


def config(folder, **model):
    return {
        "name": "x",
        "datasets": {"d": {"format": "glyphs"}},
        "methods": {"satl": {}},
        "known_ratios": [0.5],
        "model": {"backbone": "test_vit.r160_in1k", "weights": "hub", **model},
        "training": {"image_size": 64, "resize": 72},
        "data_folder": str(folder / "data"),
    }


def experiment(folder, **model):
    return parse(config(folder, **model), "x.yaml")


@pytest.fixture
def hub(monkeypatch):
    """What stands for timm's hub: `hub["weights"]`, or an error."""
    made, answers = timm.create_model, {"weights": timm.create_model("test_vit").state_dict()}

    def create(name, pretrained=False, cache_dir=None, **options):
        network = made(name, **options)
        if pretrained:
            answers["asked"] = answers.get("asked", 0) + 1
            if "error" in answers:
                raise answers["error"]
            network.load_state_dict(answers["weights"])
        return network

    monkeypatch.setattr(timm, "create_model", create)
    return answers


def test_they_are_fetched_once_and_recorded(hub, tmp_path):
    given = experiment(tmp_path)
    assert needed(given) == [FILE]
    provide(given, [FILE])
    provide(given, [FILE])
    assert hub["asked"] == 1
    found = load_file(weights_path(given))
    assert all(torch.equal(found[key], value) for key, value in hub["weights"].items())
    receipt = json.loads((tmp_path / f"data/receipts/{FILE}.json").read_text())
    assert receipt["address"] == "timm's hub: test_vit.r160_in1k" and len(receipt["sha256"]) == 64


def test_others_than_the_first_are_refused(hub, tmp_path):
    given = experiment(tmp_path)
    provide(given, [FILE])
    Path(weights_path(given)).unlink()
    hub["weights"] = {**hub["weights"], "head.bias": torch.ones(1000)}
    with pytest.raises(UserError, match=r"are not those of the first download .*its receipt"):
        provide(given, [FILE])
    assert not Path(weights_path(given)).exists()


def test_without_a_network_it_is_said_what_to_do(hub, tmp_path):
    hub["error"] = OSError("the hub is far away")
    with pytest.raises(
        UserError, match=r"OSError: the hub is far away.*its path as model\.weights"
    ):
        provide(experiment(tmp_path), [FILE])
    assert not list(tmp_path.rglob("*.safetensors*"))[1:], "its lock alone"


def test_a_file_of_the_users_own_is_used(hub, tmp_path):
    given = experiment(tmp_path)
    Path(weights_path(given)).parent.mkdir(parents=True)
    Path(weights_path(given)).write_bytes(save(hub["weights"]))
    provide(given, [FILE])
    assert "asked" not in hub


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("test_vit.r160", r"no weights 'r160' of test_vit.*it has r160_in1k"),
        ("vit_base_patch16_gap_224", r"hub: timm has no weights of vit_base_patch16_gap_224; set"),
    ],
)
def test_what_the_hub_lacks_is_said_before_it_is_asked(tmp_path, backbone, message):
    with pytest.raises(UserError, match=message):
        check_backbone(experiment(tmp_path, backbone=backbone).model, 64)


def test_torchvisions_networks_have_none(tmp_path):
    with pytest.raises(UserError, match=r"weights hub: resnet50 is not timm's.*imagenet"):
        experiment(tmp_path, backbone="resnet50")


def satl(folder, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "satl", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )


def test_timm_itself_asks_a_server_for_them(tmp_path):
    """The real way, to a hub on this machine, and then to the weights that training starts from."""
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(config(tmp_path)))
    weights = timm.create_model("test_vit").state_dict()
    with serving() as server:
        reply = Reply(save(weights), headers={"X-Repo-Commit": "a" * 40})
        server.offer("timm/test_vit.r160_in1k/resolve/main/model.safetensors", reply)
        hub = {"HF_ENDPOINT": server.url("").rstrip("/"), "HF_HUB_OFFLINE": "0"}
        done = satl(tmp_path, "download", "--config", "x.yaml", **hub)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "data/downloads").iterdir()] == [f".{FILE}.lock"]
    done = satl(tmp_path, "backbone", "--config", "x.yaml", "--out", "b.pt")
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "b.pt")
    assert torch.equal(found["blocks.0.attn.qkv.weight"], weights["blocks.0.attn.qkv.weight"])
