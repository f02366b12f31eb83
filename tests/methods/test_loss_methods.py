"""What holds for all methods that change the loss alone."""

import pytest
import torch
from loss_trial import LOGITS, method, step
from pydantic import ValidationError
from test_gpu_settings import NoWaiting
from torch import Tensor

from baselines.asl import ASL
from baselines.csl import CSL
from baselines.epr import EPR
from baselines.gr_loss import GRLoss
from baselines.hill import Hill
from baselines.large_loss import LargeLoss
from baselines.partial_asl import PartialASL
from baselines.splc import SPLC
from baselines.wan import WAN

VARIANTS = [
    (ASL, {}),
    (PartialASL, {}),
    (CSL, {"warmup": 0}),
    (CSL, {"mode": "negative", "clip": 0.05}),
    (Hill, {}),
    (SPLC, {"change_epoch": 0}),
    (SPLC, {"change_epoch": 0, "gamma": 0.5}),
    (LargeLoss, {"scheme": "reject"}),
    (LargeLoss, {"scheme": "correct"}),
    (LargeLoss, {"scheme": "correct_permanently"}),
    (WAN, {}),
    (EPR, {}),
    (GRLoss, {}),
]


@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_extreme_and_half_precision_logits_stay_finite(kind, options):
    logits = torch.tensor([[200.0, -200.0, 0.0, 30.0]] * 3, dtype=torch.bfloat16)
    logits = torch.cat([logits, -logits]).requires_grad_()
    labels = torch.tensor([[1] * 4, [-1] * 4, [0] * 4] * 2, dtype=torch.int8)
    result = step(method(kind, **options), 1, logits, labels, rows=(0, 1, 2, 0, 1, 2))
    total: Tensor = sum(result.losses.values())
    total.backward()
    assert total.dtype == torch.float32
    assert torch.isfinite(total)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_no_scheme_waits_for_the_gpu(kind, options):
    given = method(kind, **options)
    with NoWaiting():
        step(given, 1, LOGITS.clone().requires_grad_())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (ASL, {"clip": 1}),
        (CSL, {"mode": "all"}),
        (LargeLoss, {"scheme": "LL-Cp"}),
        (EPR, {"expected": 0}),
        (GRLoss, {"width": [2.0, 0.0]}),
        (GRLoss, {"slope": [1.0]}),
    ],
)
def test_options_out_of_range_are_refused(kind, options):
    with pytest.raises(ValidationError):
        kind.Options(**options)
