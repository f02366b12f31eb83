"""Curriculum labeling: what becomes a pseudo-label, when, and what each image weighs."""

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from baselines.curriculum_labeling import CurriculumLabeling, largest, normalised_bce
from satl.methods.base import Context, Progress
from satl.models.outputs import Outputs

LABELS = torch.tensor([[1, 0, 0], [0, -1, 0], [0, 0, 0], [0, 0, 0]], dtype=torch.int8)
NAN = float("nan")
LOGITS = torch.tensor([[-9.0, 2.1, 2.0], [-2.1, 9.0, 0.0], [5.0, -5.0, 1.9], [NAN, NAN, NAN]])


def method(epochs=20, **options):
    context = Context(("a", "b", "c"), epochs, 4, LABELS)
    return CurriculumLabeling(CurriculumLabeling.Options(**options), context)


def step(curriculum, logits, indices, epoch):
    rows = torch.tensor(indices)
    outputs = Outputs(logits, torch.zeros(*logits.shape, 1), classify=lambda features: features)
    return curriculum.step(outputs, LABELS[rows], Progress(epoch, 0, rows, None))


def test_unknown_entries_beyond_the_threshold_take_the_sign_of_their_logit():
    curriculum = method()
    curriculum.end_epoch(5, LOGITS)
    # Known entries stay out, 2.0 does not exceed the threshold, and the last image is not seen.
    assert curriculum.pseudo.tolist() == [[0, 1, 0], [-1, 0, 0], [1, -1, 0], [0, 0, 0]]


def test_each_epoch_replaces_the_pseudo_labels_of_the_one_before():
    curriculum = method()
    curriculum.end_epoch(5, torch.full((4, 3), 9.0))
    assert curriculum.pseudo[3].tolist() == [1, 1, 1]
    curriculum.end_epoch(6, LOGITS)
    assert curriculum.pseudo.tolist() == [[0, 1, 0], [-1, 0, 0], [1, -1, 0], [0, 0, 0]]


def test_a_quarter_of_the_epochs_goes_by_without_pseudo_labels():
    curriculum = method()
    for epoch in range(4):
        curriculum.end_epoch(epoch, LOGITS)
        assert not curriculum.pseudo.any()
    assert step(curriculum, torch.zeros(1, 3), [0], epoch=4).pseudo_labels is None
    curriculum.end_epoch(4, LOGITS)
    assert step(curriculum, torch.zeros(1, 3), [0], epoch=5).pseudo_labels.tolist() == [[0, 1, 0]]


def test_a_step_looks_up_the_pseudo_labels_of_its_images():
    curriculum = method()
    curriculum.end_epoch(5, LOGITS)
    logits = torch.tensor([[0.5, 1.0, -1.0], [1.0, -2.0, 0.3]])
    result = step(curriculum, logits, [2, 0], epoch=6)
    assert result.pseudo_labels.tolist() == [[1, -1, 0], [0, 1, 0]]
    # Two of three entries count in each image: g(2/3) = 5.45 - 4.45 * 2/3.
    first = F.softplus(torch.tensor(-0.5)) + F.softplus(torch.tensor(1.0))
    second = F.softplus(torch.tensor(-1.0)) + F.softplus(torch.tensor(2.0))
    expected = (5.45 - 4.45 * 2 / 3) / 3 * (first + second) / 2
    assert result.losses["known_and_pseudo"].item() == pytest.approx(expected.item())


def test_checkpoints_carry_the_pseudo_labels():
    curriculum, again = method(), method()
    curriculum.end_epoch(5, LOGITS)
    state = curriculum.state_dict()
    assert {name: value.dtype for name, value in state.items()} == {"pseudo": torch.int8}
    again.load_state_dict(state)
    assert torch.equal(again.pseudo, curriculum.pseudo)


def test_score_threshold_is_a_logit_threshold_in_other_units():
    curriculum = method(strategy="score_threshold", score=0.89)  # the score of a logit of 2.09
    curriculum.end_epoch(5, LOGITS)
    assert curriculum.pseudo.tolist() == [[0, 1, 0], [-1, 0, 0], [1, -1, 0], [0, 0, 0]]
    expected = torch.logit(torch.full((3,), 0.89))
    torch.testing.assert_close(curriculum.thresholds()["tau_pos"], expected)
    torch.testing.assert_close(curriculum.thresholds()["tau_neg"], -expected)


@pytest.mark.parametrize(
    ("proportion", "expected"),
    [
        (0.0, [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
        (0.3, [[0, 0, 0], [0, 0, 0], [1, -1, 0]]),  # 2 of the 7 unknown entries that were seen
        (1.0, [[0, 1, 1], [-1, 0, 0], [1, -1, 1]]),  # a logit of 0 has no sign
    ],
)
def test_score_proportion_takes_the_most_certain(proportion, expected):
    curriculum = method(strategy="score_proportion", proportion=proportion)
    curriculum.end_epoch(5, LOGITS)
    assert curriculum.pseudo.tolist() == [*expected, [0, 0, 0]]
    assert curriculum.thresholds() == {}


def test_largest_among_none_is_none():
    assert not largest(torch.ones(2, 2), torch.zeros(2, 2, dtype=torch.bool), 1.0).any()


def test_normalised_bce_image_by_image():
    logits = torch.tensor([[1.0, -2.0, 0.5, 3.0], [0.2, 0.4, 0.6, 0.8], [1.0, 1.0, 1.0, 1.0]])
    labels = torch.tensor([[1, -1, -1, 1], [0, 1, 0, 0], [0, 0, 0, 0]])
    total = 0.0
    for z, y in zip(logits, labels, strict=True):
        share = (y != 0).sum() / 4
        terms = sum(F.softplus(-y[c] * z[c]) for c in range(4) if y[c])
        total += (-3.0 * share**2 + 4.0) / 4 * terms
    loss = normalised_bce(logits, labels, alpha=-3.0, beta=4.0, gamma=2.0)
    assert loss.item() == pytest.approx(total.item() / 3)


def test_a_fully_labelled_image_has_the_plain_loss():
    logits, labels = torch.tensor([[1.0, -2.0]]), torch.tensor([[1, 1]])
    plain = F.softplus(-logits).mean()
    assert normalised_bce(logits, labels).item() == pytest.approx(plain.item())


def test_options_out_of_range_are_refused():
    for bad in ({"strategy": "consistency"}, {"threshold": -1}, {"score": 1}, {"gamma": 0}):
        with pytest.raises(ValidationError):
            CurriculumLabeling.Options(**bad)
