"""A GPU that is not there: every method on tensors of device cuda that hold no data.

Torch's fake tensors know shape, type and device. An operation on tensors of two devices raises,
and so does one that needs a value, such as `.item()`: on a real GPU, it would wait for it.
"""

from types import SimpleNamespace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from satl.config import load
from satl.core.places import METHODS
from satl.estimate.synthetic import synthetic_run
from satl.methods.registry import method_class
from satl.models.backbone import build_backbone, initial_weights
from satl.models.decoupling import _Scores
from satl.models.pair_head import _PairProducts
from satl.training import engine
from satl.training.epoch import EpochRecord

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PAPER = load(engine.Path(__file__).parents[1] / "workflow/config/paper.yaml")
BATCH = 4


@pytest.fixture(scope="module")
def backbone():
    """The paper's."""
    return build_backbone("resnet101", initial_weights("resnet101", "random"), None)


@pytest.fixture
def no_gpu_calls(monkeypatch):
    """What a fake tensor cannot do: the autograd engine and generators ask for a real device."""
    monkeypatch.setattr(torch.Tensor, "backward", lambda self: None)
    real = torch.rand
    monkeypatch.setattr(torch, "rand", lambda *a, generator=None, **k: real(*a, **k))
    exponential = torch.Tensor.exponential_
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda self, **_: exponential(self))
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)


def move(module, mode):
    """Replace parameters and buffers, and tensors that the module holds otherwise, by fake ones."""
    for part in module.modules():
        for store in (part._parameters, part._buffers):
            for name, value in store.items():
                if value is not None:
                    store[name] = fake(value, mode)
        for name, value in vars(part).items():
            if isinstance(value, torch.Tensor):
                setattr(part, name, fake(value, mode))


def fake(value, mode):
    with mode:
        empty = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=CUDA)
    if isinstance(value, torch.nn.Parameter):
        return torch.nn.Parameter(empty, requires_grad=value.requires_grad)
    return empty


def run_on_a_fake_gpu(method, backbone, categories, precision, mode):
    training = PAPER.training.model_copy(update={"precision": precision, "batch_size": BATCH})
    model = PAPER.model.model_copy(update={"feature_dim": 64, "attention_dim": 32})
    experiment = PAPER.model_copy(update={"training": training, "model": model})
    kind = method_class(method)
    run = synthetic_run(experiment, kind, kind.Options(), categories, backbone, CPU)
    move(run.model, mode)
    move(run.method, mode)
    run.labels, run.device = fake(run.labels, mode), CUDA
    with mode:
        run.record = EpochRecord.empty(run.labels)
    return run


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("categories", "precision"), [(80, "bf16"), (200, "fp32")])
def test_every_method_takes_steps_and_predicts(
    method, backbone, no_gpu_calls, monkeypatch, categories, precision
):
    """Also in the first steps of an epoch, when banks and centres are renewed."""
    mode = FakeTensorMode(allow_non_fake_inputs=False)
    run = run_on_a_fake_gpu(method, backbone, categories, precision, mode)
    monkeypatch.setattr(run, "_update", lambda: None)
    with mode:
        features = torch.empty(BATCH, 1024, 4, 4, device=CUDA)
        rows = torch.arange(BATCH, device=CUDA)
        for epoch in (0, PAPER.training.epochs // 4, PAPER.training.epochs // 2):
            run.epoch = epoch
            for step in (0, 1):
                run.step = step
                run.train_step(features, rows, *([features] if run.strong_view else []))
        logits = run.predict(features)
        assert logits.device.type == "cuda" and logits.dtype == torch.float32
        assert logits.shape == (BATCH, categories)
        run.method.end_epoch(run.epoch, run.record.logits)


@pytest.mark.parametrize("categories", [80, 200])
def test_the_gradients_that_are_our_own_stay_on_the_gpu(categories):
    """Called by hand, as the autograd engine has no fake device."""
    with FakeTensorMode(allow_non_fake_inputs=False):
        a, b = torch.empty(BATCH, 196, 32, device=CUDA), torch.empty(categories, 32, device=CUDA)
        check_gradients(_Scores, (a, b, torch.empty(32, device=CUDA)))
        left, right = (torch.empty(BATCH, categories, 64, device=CUDA) for _ in range(2))
        weight = torch.empty(categories * (categories - 1) // 2, 64, device=CUDA)
        check_gradients(_PairProducts, (left, right, weight))


class Saved(SimpleNamespace):
    """What a function keeps for the way back."""

    def save_for_backward(self, *tensors):
        self.saved_tensors = tensors


def check_gradients(function, inputs):
    saved = Saved()
    result = function.forward(saved, *inputs)
    gradients = function.backward.__wrapped__(saved, torch.empty_like(result))
    for gradient, tensor in zip(gradients, inputs, strict=True):
        assert gradient.shape == tensor.shape and gradient.device == tensor.device


def test_a_tensor_on_the_wrong_device_and_a_value_that_is_asked_for_are_noticed():
    with FakeTensorMode():
        there = torch.ones(3, device=CUDA)
        with pytest.raises(RuntimeError, match="device"):
            there + torch.ones(3)
        with pytest.raises(Exception, match="_local_scalar_dense"):
            there.sum().item()
