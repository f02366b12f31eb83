"""Pair head, losses and pseudo-labels of SST, against the same written out from the papers."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.sst import inter_pseudo_labels, intra_pseudo_labels
from satl.losses import contrastive, pair_asymmetric, partial_bce
from satl.models import PairHead

CATEGORIES, FEATURES, HIDDEN, BANK = 80, 1024, 512, 100
MARGIN = 0.5


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


class Batch:
    """Features, known labels and a bank, of COCO's size; 1 in 25 labels is positive."""

    def __init__(self, batch: int) -> None:
        torch.manual_seed(0)
        self.features = torch.randn(batch, CATEGORIES, FEATURES)
        labels = torch.where(torch.rand(batch, CATEGORIES) < 0.04, 1, -1)
        self.labels = (labels * (torch.rand(batch, CATEGORIES) < 0.5)).to(torch.int8)
        # Near the first image, so that it gets pseudo-labels.
        self.bank = torch.randn(CATEGORIES, BANK, FEATURES) + 2 * self.features[0].unsqueeze(1)
        self.pair_logits = torch.randn(batch, CATEGORIES * (CATEGORIES - 1) // 2)
        self.head = PairHead(CATEGORIES, FEATURES, HIDDEN)
        self.classifier = torch.nn.Linear(FEATURES, 1)


@pytest.fixture(scope="module")
def small():
    return Batch(4)


@pytest.fixture(scope="module")
def large():
    return Batch(32)


def textbook_pair_head(head: PairHead, features: Tensor) -> Tensor:
    """Both hidden vectors of every pair side by side, through one layer after the other."""
    hidden = head.fc_1(features)
    pairs = [(i, j) for i in range(CATEGORIES) for j in range(i + 1, CATEGORIES)]
    first, second = torch.tensor(pairs).T
    joint = torch.cat([hidden[:, first], hidden[:, second]], dim=2)
    joint = head.fc_3(head.fc_2(joint).relu())
    return (joint * head.classifiers.weight).sum(2) + head.classifiers.bias


def textbook_pair_loss(pair_logits: Tensor, labels: Tensor) -> Tensor:
    """The formula, with the targets of one pair after another."""
    pairs = [(i, j) for i in range(CATEGORIES) for j in range(i + 1, CATEGORIES)]
    columns = [(labels[:, i] > 0) & (labels[:, j] > 0) for i, j in pairs]
    t = torch.stack(columns, 1).float()
    p = torch.sigmoid(pair_logits)
    q = (1 - p + 0.05).clamp(max=1)
    focus = (1 - (p * t + q * (1 - t))) ** (1 * t + 2 * (1 - t))
    return -((t * p.log() + (1 - t) * q.log()) * focus).mean()


def textbook_contrastive(features: Tensor, labels: Tensor, draws: Tensor) -> Tensor:
    """Cosines of all image pairs from tiled features; one category after another."""
    batch = len(features)
    i, j = torch.triu_indices(batch, batch, offset=1)
    kinds: dict[str, list[Tensor]] = {"positive": [], "mixed": [], "negative": []}
    kept: dict[str, list[Tensor]] = {"mixed": [], "negative": []}
    for c, draw in enumerate(draws.view(CATEGORIES, -1)):
        cosine = F.cosine_similarity(features[i, c], features[j, c], dim=1)
        first, second = labels[i, c], labels[j, c]
        kinds["positive"].append(1 - cosine[(first == 1) & (second == 1)])
        for name, mask in {
            "mixed": first * second == -1,
            "negative": (first == -1) & (second == -1),
        }.items():
            kinds[name].append(1 + cosine[mask])
            kept[name].append(draw[mask])
    positive = torch.cat(kinds["positive"])
    terms, n = [positive], len(positive)
    for name in ("mixed", "negative"):
        values, draw = torch.cat(kinds[name]), torch.cat(kept[name])
        terms.append(values[draw.argsort(descending=True)[: 2 * n]] if n else values)
        terms.append(values.sort(descending=True).values[:n])
    return torch.cat(terms).mean()


def textbook_intra(pair_logits: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Image by image, unknown category by unknown category."""
    place = torch.full((CATEGORIES, CATEGORIES), -1)
    i, j = torch.triu_indices(CATEGORIES, CATEGORIES, offset=1)
    place[i, j] = place[j, i] = torch.arange(len(i))
    filled, probability = labels.clone(), torch.sigmoid(pair_logits)
    for b, row in enumerate(labels):
        present = (row == 1).nonzero().flatten()
        for c in (row == 0).nonzero().flatten() if len(present) else ():
            filled[b, c] = int(probability[b, place[c, present]].mean() >= margin)
    return filled


def textbook_inter(features: Tensor, bank: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Image by image, each feature against each of the bank."""
    filled = labels.clone()
    for b, row in enumerate(labels):
        cosine = F.cosine_similarity(features[b, :, None], bank, dim=2).mean(1)
        filled[b] = torch.where((row == 0) & (cosine >= margin), 1, row)
    return filled


def with_gradient(function, features: Tensor) -> tuple[Tensor, Tensor]:
    """The function's value and the gradient of its sum of squares."""
    features = features.detach().requires_grad_()
    value = function(features)
    value.square().sum().backward()
    return value.detach(), features.grad


def assert_same(mine: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> None:
    """Equal values; gradients equal in norm, as a relu may open on rounding alone."""
    assert torch.allclose(mine[0], theirs[0], rtol=1e-3, atol=1e-4)
    assert (mine[1] - theirs[1]).norm() <= 1e-3 * theirs[1].norm()


@pytest.mark.benchmark(group="pair head, B=4 C=80 D=1024, forward and backward")
def test_pair_head(benchmark, small):
    benchmark.pedantic(with_gradient, (small.head, small.features), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="pair head, B=4 C=80 D=1024, forward and backward")
def test_pair_head_textbook(benchmark, small):
    def textbook(features):
        return textbook_pair_head(small.head, features)

    slow = benchmark.pedantic(with_gradient, (textbook, small.features), rounds=1)
    assert_same(with_gradient(small.head, small.features), slow)


def sst_step(batch: Batch, textbook: bool):
    """The losses of SST behind the category features, pseudo-labels included."""

    def losses(features):
        labels, logits = batch.labels, batch.classifier(features).squeeze(2)
        draws = torch.Generator().manual_seed(1)
        if textbook:
            z = textbook_pair_head(batch.head, features)
            count = CATEGORIES * len(features) * (len(features) - 1) // 2
            parts = [
                10 * textbook_pair_loss(z, labels),
                0.05 * textbook_contrastive(features, labels, torch.rand(count, generator=draws)),
            ]
            intra = textbook_intra(z.detach(), labels, MARGIN)
            inter = textbook_inter(features.detach(), batch.bank, labels, MARGIN)
        else:
            z = batch.head(features)
            parts = [
                10 * pair_asymmetric(z, labels),
                0.05 * contrastive(features, labels, draws),
            ]
            intra = intra_pseudo_labels(z.detach(), labels, MARGIN)
            inter = inter_pseudo_labels(features.detach(), batch.bank, labels, MARGIN)
        return sum(partial_bce(logits, target) for target in (labels, intra, inter)) + sum(parts)

    return losses


@pytest.mark.benchmark(group="SST head step with its losses, B=4 C=80 D=1024")
def test_sst_step(benchmark, small):
    step = sst_step(small, textbook=False)
    benchmark.pedantic(with_gradient, (step, small.features), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="SST head step with its losses, B=4 C=80 D=1024")
def test_sst_step_textbook(benchmark, small):
    step = sst_step(small, textbook=True)
    slow = benchmark.pedantic(with_gradient, (step, small.features), rounds=1)
    assert_same(with_gradient(sst_step(small, textbook=False), small.features), slow)


def contrast_and_labels(batch: Batch, textbook: bool):
    """Contrastive loss with its gradient, and both kinds of pseudo-labels."""
    pairs = CATEGORIES * len(batch.labels) * (len(batch.labels) - 1) // 2

    def loss(features):
        draws = torch.Generator().manual_seed(1)
        if textbook:
            numbers = torch.rand(pairs, generator=draws)
            return textbook_contrastive(features, batch.labels, numbers)
        return contrastive(features, batch.labels, draws)

    value, gradient = with_gradient(loss, batch.features)
    intra, inter = (
        (textbook_intra, textbook_inter) if textbook else (intra_pseudo_labels, inter_pseudo_labels)
    )
    return (
        (value, gradient),
        intra(batch.pair_logits, batch.labels, MARGIN),
        inter(batch.features, batch.bank, batch.labels, MARGIN),
    )


@pytest.mark.benchmark(group="contrastive loss and pseudo-labels, B=32 C=80 D=1024")
def test_contrast_and_pseudo_labels(benchmark, large):
    benchmark.pedantic(contrast_and_labels, (large, False), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="contrastive loss and pseudo-labels, B=32 C=80 D=1024")
def test_contrast_and_pseudo_labels_textbook(benchmark, large):
    slow = benchmark.pedantic(contrast_and_labels, (large, True), rounds=1)
    fast = contrast_and_labels(large, False)
    assert_same(fast[0], slow[0])
    for mine, theirs in zip(fast[1:], slow[1:], strict=True):
        assert torch.equal(mine, theirs)
        assert ((mine > 0) & (large.labels == 0)).any()
