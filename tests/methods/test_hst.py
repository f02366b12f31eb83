import pytest
import torch
import torch.nn.functional as F
from conftest import golden
from graph_trial import GraphTrial

from baselines.hst import HST, margin_loss, soft_pseudo_labels
from satl.methods.parts.transfer import inter_scores, intra_scores


def test_golden_soft_pseudo_labels():
    g = {key: torch.from_numpy(value) for key, value in golden("hst_soft_pseudo_labels").items()}
    margin = float(g["margin"])
    intra = soft_pseudo_labels(intra_scores(g["pair_logits"], g["labels"]), margin)
    inter = soft_pseudo_labels(inter_scores(g["features"], g["prototypes"]), margin)
    assert torch.allclose(intra, g["intra"], rtol=0, atol=1e-6)
    assert torch.allclose(inter, g["inter"], rtol=0, atol=1e-6)


def test_margin_loss_is_cross_entropy_of_the_known_labels():
    scores = torch.tensor([[0.9, 0.7, 0.4, 0.95]])
    labels = torch.tensor([[1, -1, 0, -1]], dtype=torch.int8)
    margin = torch.tensor(0.3, requires_grad=True)
    loss = margin_loss(scores, labels, margin)
    known = torch.tensor([0.6, 0.4, 0.65])
    expected = F.binary_cross_entropy(known, torch.tensor([1.0, 0, 0]))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_margins_start_at_one_and_move_towards_the_scores():
    trial = GraphTrial(HST)
    assert trial.method.margins.tolist() == [1, 1]
    optimizer = torch.optim.Adam([trial.method.margins], lr=0.05)
    first = trial.step(epoch=5)
    assert not first.pseudo_labels.any(), "no score exceeds a margin of 1"
    for step in range(1, 20):
        optimizer.zero_grad()
        result = trial.step(epoch=5, step=step)
        result.losses["margins"].backward()
        optimizer.step()
    assert (trial.method.margins < 0.6).all()
    assert trial.step(epoch=6).pseudo_labels.any()


def test_the_prototype_term_as_in_the_paper_and_as_published():
    values = {}
    for term in ("paper", "published"):
        trial = GraphTrial(HST, prototype_term=term)
        values[term] = trial.step(epoch=5).losses["prototypes"].item()
    features, labels = trial.outputs.features.detach(), trial.labels
    centres = trial.method.prototypes.centres
    terms = [
        labels[b, c] * sum(F.cosine_similarity(features[b, c], k, dim=0) for k in used) / len(used)
        for b, c in labels.nonzero().tolist()
        if len(used := [k for k in centres[c] if k.any()])
    ]
    mean = 0.05 * (sum(terms) / len(terms)).item()
    assert values["paper"] == pytest.approx(0.05 - mean, abs=1e-6)
    assert values["published"] == pytest.approx(0.05 + mean, abs=1e-6)


def test_losses_of_both_phases():
    trial = GraphTrial(HST)
    early = {"known", "contrastive", "pairs"}
    assert trial.step(epoch=4).losses.keys() == early
    late = early | {"prototypes", "margins", "intra", "inter"}
    assert trial.step(epoch=5).losses.keys() == late
