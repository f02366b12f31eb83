"""What holds for every registered method; a new one is tested by being registered."""

from dataclasses import replace

import pytest
import torch

from satl.config import Model
from satl.core.places import METHODS
from satl.methods.base import Context, Progress
from satl.methods.registry import method_class
from satl.models.backbone import build_backbone, initial_weights
from satl.runs.folder import THRESHOLD_COLUMNS

EPOCHS, STEPS, IMAGES, CATEGORIES = 5, 3, 8, 5


@pytest.fixture(scope="module")
def backbone():
    return build_backbone("tiny", initial_weights("tiny", "random"))


class Trial:
    """A method and its model on eight random images, stepped by hand."""

    def __init__(self, name, backbone):
        torch.manual_seed(0)
        self.labels = torch.randint(-1, 2, (IMAGES, CATEGORIES), dtype=torch.int8)
        kind = method_class(name)
        context = Context(tuple("abcde"), EPOCHS, STEPS, self.labels)
        self.method = kind(kind.Options(), context)
        words = torch.randn(CATEGORIES, 20)
        model = Model(backbone="tiny", weights="random", feature_dim=12, attention_dim=6)
        self.model = self.method.build_model(backbone, words, model)
        self.maps = backbone.frozen(torch.randn(IMAGES, 3, 32, 32))
        parameters = [*self.model.parameters(), *self.method.parameters()]
        self.optimizer = torch.optim.Adam([p for p in parameters if p.requires_grad], lr=3e-3)
        self.generator = torch.Generator().manual_seed(1)

    def step(self, epoch, step, labels=None):
        labels = self.labels if labels is None else labels
        outputs = self.model(self.maps)
        if self.method.wants_strong_view(self.method.options):
            outputs = replace(outputs, strong=self.model(self.maps.flip(3)))
        progress = Progress(epoch, step, torch.arange(IMAGES), self.generator)
        result = self.method.step(outputs, labels, progress)
        self.optimizer.zero_grad()
        loss = sum(result.losses.values())
        loss.backward()
        self.optimizer.step()
        return loss.item(), result

    def state(self):
        return {
            "model": self.model.state_dict(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load(self, state):
        for part in ("model", "method", "optimizer"):
            getattr(self, part).load_state_dict(state[part])
        self.generator.set_state(state["generator"])


@pytest.fixture(params=METHODS)
def trial(request, backbone):
    return Trial(request.param, backbone)


def test_the_loss_falls_on_a_batch_that_it_can_overfit(trial):
    # The last step of an epoch: losses that are phased in during it have their full weight.
    first = trial.step(0, STEPS - 1)[0]
    for _ in range(60):
        last = trial.step(0, STEPS - 1)[0]
    assert last < 0.5 * first


def test_state_survives_save_and_load_in_mid_schedule(trial, backbone, tmp_path):
    for epoch in range(3):
        trial.step(epoch, 0)
    torch.save(trial.state(), tmp_path / "state.pt")
    expected = [trial.step(epoch, 1)[0] for epoch in (3, 4)]
    name = next(n for n in METHODS if method_class(n) is type(trial.method))
    again = Trial(name, backbone)
    again.load(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [again.step(epoch, 1)[0] for epoch in (3, 4)] == expected


def test_prediction_changes_no_state(trial):
    trial.step(4, 0)
    trial.model.eval()
    before = {k: v.clone() for k, v in trial.model.state_dict().items()}
    state = {k: v.clone() for k, v in trial.method.state_dict().items()}
    first, second = trial.model(trial.maps).logits, trial.model(trial.maps).logits
    assert torch.equal(first, second)
    assert all(torch.equal(v, before[k]) for k, v in trial.model.state_dict().items())
    assert all(torch.equal(v, state[k]) for k, v in trial.method.state_dict().items())


def test_frozen_layers_get_no_gradient_and_keep_their_batch_norm(trial, backbone):
    before = {k: v.clone() for k, v in backbone.frozen.state_dict().items()}
    trial.step(0, 0)
    trial.step(4, 0)
    assert all(p.grad is None for p in backbone.frozen.parameters())
    assert all(torch.equal(v, before[k]) for k, v in backbone.frozen.state_dict().items())
    assert all(p.grad is None for p in backbone.last.parameters()), "the last stage is copied"


@pytest.mark.parametrize("epoch", [0, EPOCHS - 1])
@pytest.mark.parametrize("value", [0, 1, -1], ids=["all unknown", "all positive", "all negative"])
def test_degenerate_labels_give_a_finite_loss_with_gradients(trial, epoch, value):
    labels = torch.full_like(trial.labels, value)
    loss, _ = trial.step(epoch, 0, labels)
    assert loss == loss
    assert abs(loss) < float("inf")
    grads = [p.grad for p in trial.model.parameters() if p.grad is not None]
    assert grads
    assert all(torch.isfinite(g).all() for g in grads)


def test_pseudo_labels_fill_only_what_is_unknown(trial):
    for epoch in range(EPOCHS):
        for step in range(10):
            _, result = trial.step(epoch, step)
    if result.pseudo_labels is not None:
        assert result.pseudo_labels.shape == trial.labels.shape
        assert not result.pseudo_labels[trial.labels != 0].any()


def test_thresholds_have_the_columns_of_the_record(trial):
    trial.step(0, 0)
    for name, values in trial.method.thresholds().items():
        assert name in THRESHOLD_COLUMNS
        assert values.shape == (CATEGORIES,)


def test_the_network_compiles_as_one_graph(trial):
    trial.model.eval()
    expected = trial.model(trial.maps).logits
    torch._dynamo.reset()
    trial.model.compile(fullgraph=True, backend="aot_eager")
    assert torch.allclose(trial.model(trial.maps).logits, expected, atol=1e-5)
    trial.model.train()
    loss, _ = trial.step(EPOCHS - 1, 0)
    assert loss > 0
