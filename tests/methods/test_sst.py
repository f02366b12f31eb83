import pytest
import torch
import torch.nn.functional as F
from conftest import golden
from graph_trial import CATEGORIES, IMAGES, GraphTrial

from baselines.sst import SST, inter_pseudo_labels, intra_pseudo_labels
from satl.losses import contrastive, pair_asymmetric, partial_bce


def tensors(name):
    return {key: torch.from_numpy(value) for key, value in golden(name).items()}


@pytest.mark.parametrize("margin", ["0.4", "0.5", "0.6"])
def test_golden_intra_pseudo_labels(margin):
    g = tensors("sst_intra_pseudo_labels")
    ours = intra_pseudo_labels(g["pair_logits"], g["labels"], float(margin))
    assert torch.equal(ours, g[f"margin_{margin}"])


@pytest.mark.parametrize("margin", ["0.1", "0.2", "0.3"])
def test_golden_inter_pseudo_labels(margin):
    g = tensors("sst_inter_pseudo_labels")
    ours = inter_pseudo_labels(g["features"], g["bank"], g["labels"], float(margin))
    assert torch.equal(ours, g[f"margin_{margin}"])


def test_nothing_known_gives_no_intra_pseudo_labels():
    labels = torch.tensor([[0, 0, -1], [1, 0, 0]], dtype=torch.int8)
    filled = intra_pseudo_labels(torch.full((2, 3), 9.0), labels, 0.0)
    assert filled.tolist() == [[0, 0, -1], [1, 1, 1]]


def test_empty_slots_of_the_bank_do_not_count():
    bank = torch.zeros(2, 3, 4)
    bank[0, 0] = torch.tensor([1.0, 0, 0, 0])
    features = torch.tensor([[[2.0, 0, 0, 0], [1.0, 0, 0, 0]]])
    labels = torch.zeros(1, 2, dtype=torch.int8)
    assert inter_pseudo_labels(features, bank, labels, 0.99).tolist() == [[1, 0]]
    assert inter_pseudo_labels(features, bank, labels, 0.0).tolist() == [[1, 0]]


def test_the_margin_falls_from_epoch_5_of_20_on():
    method = GraphTrial(SST).method
    assert method.first_epoch == 5
    margins = [method.margin(epoch) for epoch in (5, 6, 12, 13, 19)]
    assert margins == pytest.approx([0.95, 0.925, 0.775, 0.75, 0.75])


def test_losses_before_pseudo_labels():
    trial = GraphTrial(SST)
    losses = trial.step(epoch=0, step=1).losses
    outputs, labels = trial.outputs, trial.labels
    draws = torch.Generator().manual_seed(0)
    expected = {
        "known": partial_bce(outputs.logits, labels),
        "contrastive": 0.5 * 0.05 * contrastive(outputs.features, labels, draws),
        "pairs": 0.5 * 10 * pair_asymmetric(outputs.pair_logits, labels, 2, 1, 0.05),
    }
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value.item(), rel=1e-5), name


@pytest.mark.parametrize(("margin", "found"), [(0.48, "intra"), (0.05, "inter")])
def test_pseudo_labels_entry_by_entry(margin, found):
    trial = GraphTrial(SST, margin=margin, last_margin=margin)
    result = trial.step(epoch=5)
    features, labels = trial.outputs.features, trial.labels
    pair = torch.zeros(IMAGES, CATEGORIES, CATEGORIES)
    i, j = torch.triu_indices(CATEGORIES, CATEGORIES, offset=1)
    pair[:, i, j] = pair[:, j, i] = torch.sigmoid(trial.outputs.pair_logits)
    intra, inter = labels.clone(), labels.clone()
    for b in range(IMAGES):
        for c in range(CATEGORIES):
            present = [k for k in range(CATEGORIES) if labels[b, k] > 0]
            others = [features[a, c] for a in range(IMAGES) if labels[a, c] > 0]
            if labels[b, c] == 0 and present:
                intra[b, c] = int(sum(pair[b, c, k] for k in present) / len(present) >= margin)
            if labels[b, c] == 0 and others:
                near = [F.cosine_similarity(features[b, c], f, dim=0) for f in others]
                inter[b, c] = int(sum(near) / len(near) >= margin)
    assert ({"intra": intra, "inter": inter}[found] != labels).any()
    logits = trial.outputs.logits
    assert result.losses["intra"].item() == pytest.approx(partial_bce(logits, intra).item())
    assert result.losses["inter"].item() == pytest.approx(partial_bce(logits, inter).item())
    filled = ((intra > 0) | (inter > 0)) & (labels == 0)
    assert torch.equal(result.pseudo_labels, filled.to(torch.int8))
