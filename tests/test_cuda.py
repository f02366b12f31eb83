"""What only a GPU can show; skipped elsewhere."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from trials import same_numbers, spec

from satl.config import load
from satl.core.places import METHODS
from satl.estimate.synthetic import synthetic_run
from satl.methods.registry import method_class
from satl.models.backbone import build_backbone, initial_weights
from satl.runs.folder import RunFolder
from satl.training.engine import train
from satl.training.features import frozen_features
from satl.training.precision import prepare_torch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEMO = load(Path(__file__).parents[1] / "workflow/config/demo.yaml")
CUDA = torch.device("cuda")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_does_not_wait_for_the_gpu(method, precision):
    training = DEMO.training.model_copy(update={"precision": precision})
    experiment = DEMO.model_copy(update={"training": training})
    prepare_torch(training, CUDA)
    kind = method_class(method)
    backbone = build_backbone("tiny", initial_weights("tiny", "random"))
    frozen = backbone.frozen.to(CUDA, memory_format=torch.channels_last)
    run = synthetic_run(experiment, kind, kind.Options(), 20, backbone, CUDA)
    images = torch.randint(0, 256, (32, 3, 64, 64), dtype=torch.uint8, device=CUDA)
    rows = torch.arange(32, device=CUDA)

    def train_step():
        views = [frozen_features(frozen, images, precision) for _ in range(1 + run.strong_view)]
        run.train_step(views[0], rows, *views[1:])

    for _ in range(2):
        train_step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_gpu_comes_out_close_to_the_cpu(tmp_path, shared, observed):
    train(shared, [spec(observed, tmp_path / "cpu")])
    train(replace(shared, device=CUDA), [spec(observed, tmp_path / "cuda")])
    cpu, cuda = (RunFolder(tmp_path / name).predictions()["logits"] for name in ("cpu", "cuda"))
    assert np.abs(cpu - cuda)[0].max() < 0.05


def test_runs_side_by_side_on_a_gpu_equal_separate_ones(tmp_path, shared, observed):
    shared = replace(shared, device=CUDA)
    runs = [spec(observed, tmp_path / name, name) for name in ("satl", "sarb")]
    for run in runs:
        train(shared, [replace(run, folder=run.folder.with_suffix(".alone"))])
    train(shared, runs)
    for run in runs:
        same_numbers(run.folder, run.folder.with_suffix(".alone"))
