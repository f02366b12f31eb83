"""Losses entry by entry against published implementations (tests/golden/losses/README.md)."""

import pytest
import torch
from conftest import GOLDEN, golden
from torch import Tensor

from baselines import an_ls, asl, csl, epr, gr_loss, hill, large_loss, splc, wan
from satl.losses import absent_filled, bce_terms
from satl.methods.parts.large_loss import all_but_smallest, hidden_positives

SCHEMES = {"LL-R": "reject", "LL-Ct": "correct", "LL-Cp": "correct_permanently"}


def inputs(name) -> tuple[dict[str, Tensor], Tensor]:
    g = {key: torch.from_numpy(value) for key, value in golden(f"losses/{name}").items()}
    return g, g["logits"].requires_grad_()


def files(pattern):
    names = sorted(path.stem for path in (GOLDEN / "losses").glob(f"{pattern}.npz"))
    assert names
    return names


def agrees(loss, g, tolerance=1e-4):
    """The value and its gradient, with respect to the logits, agree with the file's."""
    loss.backward()
    expected = g["loss_sum"] if "loss_sum" in g else g["loss"]
    assert loss.item() == pytest.approx(expected.item(), abs=tolerance, rel=tolerance)
    torch.testing.assert_close(g["logits"].grad, g["grad"], atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", files("asl_*"))
def test_asl(name):
    g, logits = inputs(name)
    gammas = float(g["gamma_pos"]), float(g["gamma_neg"])
    agrees(asl.asymmetric_terms(logits, g["labels"], *gammas, float(g["clip"])).sum(), g)


@pytest.mark.parametrize("name", files("csl_*"))
def test_csl(name):
    g, logits = inputs(name)
    labels, mode = g["labels"], name.split("_g")[0].removeprefix("csl_")
    ignored = {"ignore": labels == 0, "negative": labels == 2}.get(mode)
    if ignored is None:
        prior = g["prior"] if mode == "selective_prior" else None
        eta, top_k = float(g["prior_threshold"]), int(g["likelihood_topk"]) * len(labels)
        ignored = csl.ignored_unknown(logits, labels, prior, eta, top_k, float(g["clip"]))
    gammas = (float(g[f"gamma_{kind}"]) for kind in ("pos", "neg", "unann"))
    agrees(csl.selective_terms(logits, labels, ignored, *gammas, float(g["clip"])).sum(), g)


def test_hill():
    g, logits = inputs("hill")
    terms = hill.hill_terms(
        logits, g["labels"], *(float(g[name]) for name in ("lamb", "margin", "gamma"))
    )
    agrees(terms.sum(), g)


@pytest.mark.parametrize("epoch", [0, 1])
def test_splc(epoch):
    g, logits = inputs(f"splc_epoch{epoch}")
    correct = epoch >= int(g["change_epoch"])
    terms = splc.splc_terms(
        logits, g["labels"], correct, *(float(g[name]) for name in ("tau", "margin", "gamma"))
    )
    agrees(terms.sum(), g)


@pytest.mark.parametrize("name", files("large_loss_*"))
def test_large_loss(name):
    g, logits = inputs(name)
    scheme, before, delta = SCHEMES[name.split("_")[2]], int(g["epoch"]) - 1, float(g["delta_rel"])
    share = delta * min(1, before) if scheme == "correct_permanently" else delta * before
    agrees(large_loss.large_loss_terms(logits, g["labels"], share, scheme).mean(), g)
    chosen = hidden_positives(logits, g["labels"], share)
    assert torch.equal(all_but_smallest(chosen, logits), g["strictly_above"].bool())


def test_assume_negative_with_smoothing_or_little_weight():
    for name, terms in {
        "an": lambda x, y: bce_terms(x, absent_filled(y)),
        "an_ls": lambda x, y: an_ls.smoothed_terms(x, y, 0.1),
        "wan": wan.weighted_terms,
    }.items():
        g, logits = inputs(f"single_positive_{name}")
        agrees(terms(logits, g["positives"]).mean(), g, tolerance=2e-3)


def test_epr():
    g, logits = inputs("single_positive_epr")
    known = bce_terms(logits, g["positives"]).mean()
    penalty = epr.expected_positive_penalty(logits, float(g["expected_num_pos"]))
    agrees(known + penalty, g, tolerance=2e-3)


def test_gr_loss():
    g, logits = inputs("robust_gr")
    qs = float(g["q2"]), float(g["q3"])
    agrees(gr_loss.gr_terms(logits, g["labels"], g["k"], g["v"], *qs).mean(), g)
