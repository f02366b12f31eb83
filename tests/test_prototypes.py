import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from satl.methods.parts.prototypes import FeatureBank, Prototypes, _spread_start, k_means


def test_the_bank_keeps_the_newest_positives():
    torch.manual_seed(0)
    bank, expected = FeatureBank(3, 4, 2), [[], [], []]
    for size in (2, 1, 9, 3):  # nine images hold more positives than there are slots
        features, labels = torch.randn(size, 3, 2), torch.randint(-1, 2, (size, 3))
        labels[:, 2] = 0
        bank.add(features, labels)
        for b in range(size):
            for c in range(3):
                if labels[b, c] > 0:
                    expected[c] = [*expected[c], features[b, c].tolist()][-4:]
        for c in range(3):
            kept = [f for f in bank.features[c].tolist() if any(f)]
            assert sorted(kept) == sorted(expected[c])


def test_k_means_finds_separate_groups():
    generator = torch.Generator().manual_seed(0)
    means = torch.tensor([[[0.0, 9], [9, 0], [9, 9]], [[-9.0, 0], [0, -9], [5, 5]]])
    points = means.repeat(1, 10, 1) + 0.1 * torch.randn(2, 30, 2, generator=generator)
    centres = k_means(points, 3, generator)
    for found, true in zip(centres, means, strict=True):
        assert torch.cdist(true, found).min(1).values.max() < 0.2


@pytest.mark.parametrize("different", [0, 1, 2])
def test_a_category_of_few_points_has_those_as_centres(different):
    points = torch.zeros(1, 6, 2)
    for slot in range(2 * different):  # each point stands in the bank twice
        points[0, slot] = torch.tensor([1.0, slot % different])
    centres = k_means(points, 3, torch.Generator().manual_seed(0))
    assert centres.any(2).tolist() == [[slot < different for slot in range(3)]]
    used = points.any(2)[0]
    assert {tuple(c) for c in centres[0, :different].tolist()} == {
        tuple(p) for p in points[0][used].tolist()
    }


def test_k_means_is_scikit_learns_from_the_same_start():
    sklearn_cluster = pytest.importorskip("sklearn.cluster")
    generator = torch.Generator().manual_seed(3)
    points = torch.randn(1, 100, 5, generator=generator)
    ours = k_means(points, 4, torch.Generator().manual_seed(0), iterations=100)
    theirs = sklearn_cluster.KMeans(4, init=ours[0].numpy(), n_init=1).fit(points[0].numpy())
    assert torch.allclose(ours[0], torch.from_numpy(theirs.cluster_centers_), atol=1e-4)


def test_centres_are_renewed_when_due():
    prototypes = Prototypes(FeatureBank(2, 5, 3), clusters=2, first=5, period=5)
    generator = torch.Generator().manual_seed(0)

    def centres(epoch, step):
        features = torch.randn(4, 2, 3, generator=generator)
        prototypes.update(features, torch.ones(4, 2), epoch, step, generator)
        return prototypes.centres.clone()

    assert not centres(4, 0).any()
    first = centres(5, 0)
    assert first.any(2).all()
    assert torch.equal(centres(5, 1), first)
    assert torch.equal(centres(9, 0), first)
    assert not torch.equal(centres(10, 0), first)


class Waits(TorchDispatchMode):
    """Notes operations for whose result the CPU has to wait on a GPU."""

    NAMES = ("multinomial", "_local_scalar_dense", "nonzero")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(name in str(func) for name in self.NAMES):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def test_k_means_waits_for_nothing():
    points = torch.randn(3, 20, 4, generator=torch.Generator().manual_seed(0))
    with Waits() as waits:
        k_means(points, 4, torch.Generator().manual_seed(0))
    assert waits.found == []


def test_nan_among_the_points_is_no_error():
    """The run has diverged, and the engine says so."""
    points = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    points[1, 2] = torch.nan
    centres = k_means(points, 3, torch.Generator().manual_seed(0))
    assert centres[0].isfinite().all()


def test_starts_are_drawn_by_their_weight():
    """Two far points and one near the first: the second start is almost always the far one."""
    points = torch.tensor([[[0.0, 1], [0, 1.1], [9, 9]]])
    draws = [
        _spread_start(points, points.any(2), 2, torch.Generator().manual_seed(seed))
        for seed in range(60)
    ]
    assert sum((start == 9).any().item() for start in draws) > 55
