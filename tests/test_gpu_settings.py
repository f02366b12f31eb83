"""What a GPU is told, as far as that can be tested without one."""

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from trials import TRAINING, spec

from satl.config import load
from satl.core.errors import UserError
from satl.core.places import METHODS
from satl.data.images.batches import Images
from satl.data.splits import split
from satl.estimate.synthetic import synthetic_run
from satl.methods.registry import method_class
from satl.models.backbone import build_backbone, initial_weights
from satl.runs import provenance
from satl.training import engine
from satl.training.features import frozen_features
from satl.training.precision import prepare_torch
from satl.training.run import TrainingRun

CPU, SECOND = torch.device("cpu"), torch.device("cuda:1")


@pytest.fixture
def current(monkeypatch):
    """The devices that were made the current one."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    return chosen


def settings():
    return SimpleNamespace(
        matmul=torch.backends.cuda.matmul.allow_tf32,
        cudnn=torch.backends.cudnn.allow_tf32,
        deterministic=(
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.deterministic,
            not torch.backends.cudnn.benchmark,
            os.environ.get("CUBLAS_WORKSPACE_CONFIG") == ":4096:8",
        ),
    )


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", False), ("tf32", True), ("bf16", False)])
def test_tf32_only_where_the_config_says_so(current, precision, tf32):
    prepare_torch(TRAINING.model_copy(update={"precision": precision}), SECOND)
    assert settings().matmul == settings().cudnn == tf32


@pytest.mark.parametrize("deterministic", [True, False])
def test_determinism_is_configured_on_gpus_too(current, deterministic):
    prepare_torch(TRAINING.model_copy(update={"deterministic": deterministic}), SECOND)
    assert settings().deterministic == (deterministic,) * 4


def test_a_job_opens_no_context_on_another_gpu(current):
    prepare_torch(TRAINING, SECOND)
    prepare_torch(TRAINING, CPU)
    assert current == [SECOND]


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_a_training_on_the_cpu_does_not_touch_the_gpu(
    tmp_path, shared, observed, monkeypatch, cache
):
    """`pin_memory` would open a context there."""
    pinned, real = [], Images.batches
    monkeypatch.setattr(
        Images, "batches", lambda *arguments: (pinned.append(arguments[3]), real(*arguments))[1]
    )
    once = TRAINING.model_copy(update={"epochs": 1, "image_cache": cache})
    engine.train(replace(shared, training=once), [spec(observed, tmp_path / "run")])
    assert pinned == [False, False]


@pytest.mark.parametrize(("cuda", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_cuda_or_the_cpu_and_never_mps(monkeypatch, cuda, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert engine.choose_device("auto").type == chosen


def test_provenance_names_the_software_of_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91000)
    monkeypatch.setattr(
        provenance.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="570.1\n570.1\n")
    )
    facts = provenance.device_facts(SECOND)
    assert facts == {
        "device": "Some GPU", "cuda": torch.version.cuda, "cudnn": 91000, "driver": "570.1"
    }  # fmt: skip
    assert provenance.device_facts(CPU) == {"device": "cpu"}


WAITING = {  # operations for whose result the CPU must wait for a GPU
    "_local_scalar_dense", "is_nonzero", "item", "nonzero", "masked_select", "multinomial",
    "equal", "_unique2", "unique_dim", "bincount", "histc",
}  # fmt: skip


class NoWaiting(TorchDispatchMode):
    """Fails at an operation that would wait for a GPU."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name not in WAITING, f"{name} waits for the GPU"
        if name.startswith("index") and len(args) > 1 and isinstance(args[1], list | tuple):
            masks = [i for i in args[1] if isinstance(i, torch.Tensor) and i.dtype == torch.bool]
            assert not masks, f"{name} with a mask waits for the GPU"
        return function(*args, **(kwargs or {}))


def test_waiting_is_noticed():
    for wait in (lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: bool(x.any())):
        with pytest.raises(AssertionError, match="waits"), NoWaiting():
            wait(torch.ones(3))


@pytest.fixture(scope="module")
def demo():
    experiment = load(engine.Path(__file__).parents[1] / "workflow/config/demo.yaml")
    return experiment, build_backbone("tiny", initial_weights("tiny", "random"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", [0, 1])
def test_no_step_waits_for_the_gpu(demo, method, step, monkeypatch):
    """At every epoch of the schedule, so that prototypes are renewed in some first step."""
    # PyTorch's checks its input with item(), but on the CPU alone.
    monkeypatch.setattr(F, "one_hot", lambda index, n: (index[..., None] == torch.arange(n)).long())
    (experiment, backbone), kind = demo, method_class(method)
    run = synthetic_run(experiment, kind, kind.Options(), 20, backbone, CPU)
    size = experiment.training.batch_size
    features = frozen_features(backbone.frozen, torch.zeros(size, 3, 32, 32), "fp32")
    rows = torch.arange(size)
    for epoch in range(experiment.training.epochs):
        run.epoch, run.step = epoch, step
        with NoWaiting():
            run.train_step(features, rows, *([features] if run.strong_view else []))


@pytest.mark.parametrize("method", METHODS)
def test_losses_run_in_float32_and_the_network_in_autocast(
    tmp_path, shared, observed, monkeypatch, method
):
    """Also the parts of the network that methods run again: `classify` and the pair head."""
    inside, real = [], engine.TrainingRun.train_step

    def step(run, *arguments):
        method_step = run.method.step

        def watched(outputs, *rest):
            assert not torch.is_autocast_enabled("cpu")
            assert outputs.logits.dtype == outputs.features.dtype == torch.float32
            assert outputs.classify(outputs.features).dtype == torch.float32
            return method_step(outputs, *rest)

        monkeypatch.setattr(run.method, "step", watched)
        real(run, *arguments)
        inside.append(run)

    monkeypatch.setattr(TrainingRun, "train_step", step)
    half = TRAINING.model_copy(update={"precision": "bf16", "epochs": 1})
    engine.train(replace(shared, training=half), [spec(observed, tmp_path / "run", method)])
    assert inside


@pytest.fixture
def traced(monkeypatch):
    """Compile without a C++ compiler: Dynamo traces as ever, and eager mode runs the graphs."""
    real = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, **how: real(self, backend="eager", **how)
    )
    settings = ("recompile_limit", "accumulated_recompile_limit", "fail_on_recompile_limit_hit")
    config = torch._dynamo.config
    torch.compiler.reset()
    with config.patch({name: getattr(config, name) for name in settings}):  # puts them back
        yield
    torch.compiler.reset()


@pytest.mark.slow
def test_every_network_compiles_as_a_whole(tmp_path, shared, train_table, observed, traced):
    """All methods in one job, in training and prediction, with a last batch of another size.

    Which method's network cannot be compiled, the contract tests say.
    """
    compiled = TRAINING.model_copy(
        update={"compile": True, "epochs": 2, "drop_last": False, "eval_batch_size": 5}
    )
    tables = {"a": observed, "b": split(train_table, 0.9)}
    runs = [
        spec(table, tmp_path / method / name, method)
        for method in METHODS
        for name, table in tables.items()
    ]
    engine.train(replace(shared, training=compiled), runs)


def test_a_recompile_limit_that_is_hit_is_an_error(tmp_path, shared, observed, traced, monkeypatch):
    from satl.training import precision

    monkeypatch.setattr(precision, "RECOMPILE_LIMIT", 1)
    compiled = TRAINING.model_copy(update={"compile": True, "epochs": 1})
    with pytest.raises(UserError, match=r"recompile.*; set training\.compile: false"):
        engine.train(replace(shared, training=compiled), [spec(observed, tmp_path / "run")])
