"""CAP: pseudo-labels by quota, against the published ones, and over the epochs."""

import numpy as np
import pytest
import torch
from conftest import golden

from baselines.cap import CAP, cap_pseudo_labels
from satl.losses import partial_bce
from satl.methods.base import Context, Progress
from satl.models.outputs import Outputs


@pytest.mark.parametrize("name", ["cap_pos0.6_neg0.8", "cap_pos1.0_neg0.998"])
def test_the_published_pseudo_labels(name):
    published = golden(f"losses/{name}")
    pseudo = cap_pseudo_labels(
        torch.from_numpy(published["scores"]),
        torch.from_numpy(published["positive_share"]),
        float(published["keep_positive"]),
        float(published["keep_negative"]),
    )
    signs = np.where(published["pseudo_positive"], 1, -1) * published["counted"]
    assert np.array_equal(pseudo.numpy(), signs)


def cap(labels, **options):
    return CAP(CAP.Options(**options), Context(("a", "b"), 5, 4, labels))


def step(method, logits, labels, epoch):
    outputs = Outputs(logits, torch.zeros(*logits.shape, 1), classify=lambda features: features)
    return method.step(outputs, labels, Progress(epoch, 0, torch.arange(len(logits)), None))


def test_an_epochs_scores_label_the_next_one():
    labels = torch.tensor([[1, 1], [-1, 0], [0, 0], [0, 0], [0, 0], [0, 0]], dtype=torch.int8)
    method = cap(labels, keep_negative=1.0)
    scores = torch.tensor([[9.0, 9], [9, 1], [0.4, 2], [0.1, 3], [0.3, torch.nan], [0.2, 4]])
    method.end_epoch(0, scores)
    result = step(method, torch.zeros(6, 2), labels, epoch=1)
    # Half of the known are positive in the first category, all of them in the second.
    assert result.pseudo_labels.tolist() == [[0, 0], [0, 1], [1, 1], [-1, 1], [1, 0], [-1, 1]]
    assert method.thresholds()["tau_pos"].tolist() == pytest.approx([0.3, 1.0])
    logits = torch.randn(6, 2)
    loss = step(method, logits, labels, epoch=1).losses["known_and_pseudo"]
    filled = labels + result.pseudo_labels
    assert loss.item() == pytest.approx(partial_bce(logits, filled).item())
    method.end_epoch(1, -scores)
    assert step(method, logits, labels, epoch=2).pseudo_labels[:, 0].tolist() == [
        0,
        0,
        -1,
        1,
        -1,
        1,
    ]


def test_no_pseudo_labels_in_warm_up():
    labels = torch.tensor([[1, 1], [-1, -1], [0, 0], [0, 0]], dtype=torch.int8)
    method = cap(labels, warmup=0.4)
    method.end_epoch(0, torch.rand(4, 2))
    assert not method.pseudo.any()
    assert step(method, torch.zeros(4, 2), labels, epoch=1).pseudo_labels is None
    method.end_epoch(1, torch.rand(4, 2))
    assert step(method, torch.zeros(4, 2), labels, epoch=2).pseudo_labels.any()
