from unittest.mock import patch

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from satl.models import PairHead, pair_head
from satl.models.pair_head import CPU_GROUP_ENTRIES, _PairProducts


def textbook(head, features):
    """Every pair's two hidden vectors side by side, through the layers one after another."""
    hidden = head.fc_1(features)
    i, j = torch.triu_indices(features.shape[1], features.shape[1], offset=1)
    joint = torch.cat([hidden[:, i], hidden[:, j]], dim=2)
    return (head.fc_3(head.fc_2(joint).relu()) * head.classifiers.weight).sum(2) + (
        head.classifiers.bias
    )


@pytest.mark.parametrize(("batch", "categories"), [(3, 5), (1, 2), (2, 1)])
def test_logits_and_gradients_are_those_of_the_textbook(batch, categories):
    torch.manual_seed(0)
    head = PairHead(categories, feature_dim=7, hidden_dim=4)
    torch.nn.init.normal_(head.classifiers.bias)
    head.double()
    features = torch.randn(batch, categories, 7, dtype=torch.double, requires_grad=True)
    variables = [features, *head.parameters()]
    upstream = torch.randn(batch, categories * (categories - 1) // 2, dtype=torch.double)
    results = []
    for function in (head, lambda f: textbook(head, f)):
        logits = function(features)
        results.append((logits, *torch.autograd.grad(logits, variables, upstream)))
    for mine, theirs in zip(*results, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-12)


def test_gradients_of_the_pair_products():
    torch.manual_seed(0)
    shapes = ((2, 4, 3), (2, 4, 3), (6, 3))
    inputs = [torch.randn(s, dtype=torch.double, requires_grad=True) for s in shapes]
    assert torch.autograd.gradcheck(_PairProducts.apply, inputs)


def test_groups_of_any_size_give_the_same(monkeypatch):
    torch.manual_seed(0)
    shapes = ((2, 11, 3), (2, 11, 3), (55, 3))
    inputs = [torch.randn(s, dtype=torch.double, requires_grad=True) for s in shapes]
    upstream = torch.randn(2, 55, dtype=torch.double)

    def results():
        products = _PairProducts.apply(*inputs)
        return products, *torch.autograd.grad(products, inputs, upstream)

    assert len(list(pair_head._groups(inputs[0]))) < 6
    grouped = results()
    assert torch.autograd.gradcheck(_PairProducts.apply, inputs)
    monkeypatch.setattr(pair_head, "CPU_GROUP_ENTRIES", 1)
    assert len(list(pair_head._groups(inputs[0]))) == 10
    for mine, theirs in zip(grouped, results(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-12)


def test_groups_on_a_gpu_are_few():
    like_vg = torch.empty(8, 200, 1024, device="meta")
    groups = list(pair_head._groups(like_vg))
    assert len(groups) < 30
    assert [g.pairs.start for g in groups[1:]] == [g.pairs.stop for g in groups[:-1]]
    assert groups[-1].pairs.stop == 200 * 199 // 2


def test_under_autocast_sums_over_categories_are_in_float32():
    torch.manual_seed(0)
    head, features = PairHead(40, 16, 8), torch.randn(4, 40, 16, requires_grad=True)
    seen = []
    original = _PairProducts.forward

    def spied(ctx, *tensors):
        seen.extend(tensor.dtype for tensor in tensors)
        return original(ctx, *tensors)

    with torch.autocast("cpu", torch.bfloat16), patch.object(_PairProducts, "forward", spied):
        logits = head(features)
    assert logits.dtype == torch.float32
    assert seen == [torch.float32] * 3


class LargestTensor(TorchDispatchMode):
    """Notes how many entries the largest tensor has that an operation gives."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.entries = max(self.entries, tensor.numel())
        return result


@pytest.mark.parametrize(("images", "categories", "channels"), [(16, 60, 32), (20, 30, 512)])
def test_no_tensor_over_images_pairs_and_channels(images, categories, channels):
    """One category's pairs are the most, or a few of several; all are 3.5 and 14 times that."""
    head = PairHead(categories, 16, channels)
    features = torch.randn(images, categories, 16, requires_grad=True)
    with LargestTensor() as largest:
        head(features).sum().backward()
    assert features.grad is not None
    assert largest.entries <= max(images * categories * channels, CPU_GROUP_ENTRIES)
