"""Metrics on 40,000 images × 80 categories (COCO's test set), against a loop over ranks."""

import numpy as np
import pytest

from satl import metrics


@pytest.fixture(scope="module")
def coco_sized():
    rng = np.random.default_rng(0)
    targets = rng.random((40_000, 80)) < 0.036
    scores = (rng.normal(size=targets.shape) + 2 * targets).astype(np.float32)
    return scores, targets


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


@pytest.mark.benchmark(group="mAP, 40,000 x 80")
def test_mean_ap(benchmark, coco_sized):
    benchmark.pedantic(metrics.mean_ap, coco_sized, rounds=5)


@pytest.mark.benchmark(group="mAP, 40,000 x 80")
def test_mean_ap_by_a_loop_over_ranks(benchmark, coco_sized):
    slow = benchmark.pedantic(loop_over_ranks, coco_sized, rounds=1)
    assert slow == pytest.approx(metrics.mean_ap(*coco_sized), abs=1e-6)


@pytest.mark.benchmark(group="all metrics of a row, 40,000 x 80")
def test_all_metrics(benchmark, coco_sized):
    def everything():
        metrics.mean_ap(*coco_sized)
        metrics.voc2012_map(*coco_sized)
        metrics.precision_recall_f1(*coco_sized)
        metrics.precision_recall_f1(*coco_sized, top_k=3)

    benchmark.pedantic(everything, rounds=3)
