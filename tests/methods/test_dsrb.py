import torch
from graph_trial import CATEGORIES, IMAGES, GraphTrial

from baselines.dsrb import DSRB, quadrant
from satl.methods.parts.blending import blend_instances


def test_quadrants_of_the_peak():
    attention = torch.zeros(1, 5, 4, 6)
    for category, (row, column) in enumerate([(0, 0), (1, 3), (2, 2), (3, 5), (1, 2)]):
        attention[0, category, row, column] = 1
    assert quadrant(attention).tolist() == [[0, 1, 2, 3, 0]]


def category_maps(trial):
    """(B, C, D, H, W): each category's attention times the feature map."""
    torch.manual_seed(1)
    maps = torch.randn(IMAGES, 3, *trial.outputs.attention.shape[2:])
    return trial.outputs.attention.detach().unsqueeze(2) * maps.unsqueeze(1)


def test_blending_maps_before_the_sum_is_blending_sums():
    trial = GraphTrial(DSRB)
    maps, labels = category_maps(trial), trial.labels
    chosen = (labels == 0) & (labels.flip(0) > 0)
    assert chosen.any()
    kept = torch.where(chosen, 0.3, 1.0)[..., None, None, None]
    mixed = kept * maps + (1 - kept) * maps.flip(0)
    ours, _ = blend_instances(maps.sum((3, 4)), labels, 0.3)
    assert torch.allclose(mixed.sum((3, 4)), ours, atol=1e-5)


def test_prototypes_are_means_by_quadrant():
    trial = GraphTrial(DSRB)
    trial.step(epoch=4)
    assert not trial.method.prototypes.any()
    trial.step(epoch=5)
    where, features = quadrant(trial.outputs.attention), trial.outputs.features.detach()
    for c in range(CATEGORIES):
        for q in range(4):
            own = [
                features[b, c] for b in range(IMAGES) if trial.labels[b, c] > 0 and where[b, c] == q
            ]
            expected = torch.stack(own).mean(0) if own else torch.zeros(12)
            assert torch.allclose(trial.method.prototypes[c, q], expected, atol=1e-6)
    assert not trial.method.counts.any(), "counting starts anew"


def test_the_best_unknown_category_of_each_image_is_chosen():
    trial = GraphTrial(DSRB)
    trial.step(epoch=5)
    others, chosen = trial.method.choose_prototypes(trial.outputs, trial.labels, None)
    logits, where = trial.outputs.logits.detach(), quadrant(trial.outputs.attention)
    for b in range(IMAGES):
        eligible = [
            c
            for c in range(CATEGORIES)
            if trial.labels[b, c] == 0 and trial.method.prototypes[c, where[b, c]].any()
        ]
        best = max(eligible, key=lambda c: logits[b, c], default=None)
        assert chosen[b].nonzero().flatten().tolist() == ([] if best is None else [best])
    assert chosen.any()
    assert others[chosen].any(1).all()


def test_the_peak_of_attention_is_found_in_float32_under_autocast():
    """Nearly even attention has few levels in bfloat16: ties would go to the upper left."""
    trial = GraphTrial(DSRB)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = trial.model(trial.maps)
    assert outputs.attention.dtype == torch.float32
    assert not torch.equal(outputs.attention, outputs.attention.bfloat16().float())
