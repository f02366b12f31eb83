"""Metrics on 40,000 images × 80 categories (COCO's test set), against two loops over ranks."""

import numpy as np
import pytest
import torch

from satl import metrics


@pytest.fixture(scope="module")
def coco_sized():
    rng = np.random.default_rng(0)
    targets = rng.random((40_000, 80)) < 0.036
    scores = (rng.normal(size=targets.shape) + 2 * targets).astype(np.float32)
    return scores, targets


@pytest.fixture(scope="module")
def a_quarter(coco_sized):
    """The first 20 categories: the loop over tensor elements takes half a minute for all 80."""
    scores, targets = coco_sized
    return scores[:, :20].copy(), targets[:, :20].copy()


def loop_over_ranks(scores, targets):
    """AP as a textbook says it: walk down the ranking and note the precision at each hit."""
    values = []
    for column in range(scores.shape[1]):
        order = np.argsort(-scores[:, column], kind="stable")
        hits, total = 0, 0.0
        for rank, image in enumerate(order, 1):
            if targets[image, column]:
                hits += 1
                total += hits / rank
        values.append(total / hits)
    return np.mean(values)


def loop_over_tensor_elements(scores, targets):
    """AP as the field's evaluation meters compute it: a step a rank, on elements of a tensor."""
    values = []
    for score, target in zip(scores.T, targets.T, strict=True):
        hits, total = 0, 0.0
        for rank, image in enumerate(torch.sort(score, descending=True)[1], 1):
            if target[image] == 1:
                hits += 1
                total += hits / rank
        values.append(total / hits)
    return np.mean(values)


@pytest.mark.benchmark(group="mAP, 40,000 x 80")
def test_mean_ap(benchmark, coco_sized):
    benchmark.pedantic(metrics.mean_ap, coco_sized, rounds=20, warmup_rounds=1)


@pytest.mark.benchmark(group="mAP, 40,000 x 80")
def test_mean_ap_by_a_loop_over_ranks(benchmark, coco_sized):
    slow = benchmark.pedantic(loop_over_ranks, coco_sized, rounds=3)
    assert slow == pytest.approx(metrics.mean_ap(*coco_sized), abs=1e-6)


@pytest.mark.benchmark(group="mAP, 40,000 x 20")
def test_mean_ap_of_a_quarter(benchmark, a_quarter):
    benchmark.pedantic(metrics.mean_ap, a_quarter, rounds=20, warmup_rounds=1)


@pytest.mark.benchmark(group="mAP, 40,000 x 20")
def test_mean_ap_of_a_quarter_by_a_loop_over_tensor_elements(benchmark, a_quarter):
    scores, targets = a_quarter
    tensors = torch.from_numpy(scores), torch.from_numpy(targets.astype(np.float32))
    slow = benchmark.pedantic(loop_over_tensor_elements, tensors, rounds=1)
    assert slow == pytest.approx(metrics.mean_ap(scores, targets), abs=1e-6)


@pytest.mark.benchmark(group="all metrics of a row, 40,000 x 80")
def test_all_metrics(benchmark, coco_sized):
    benchmark.pedantic(metrics.all_metrics, coco_sized, rounds=10, warmup_rounds=1)
