import pytest
import torch

from satl.data.images.prefetch import one_ahead, prefetch


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_one_ahead_keeps_the_order_and_is_one_ahead(count):
    fetched, seen = [], []
    items = (fetched.append(i) or i for i in range(count))
    for item in one_ahead(items):
        seen.append(item)
        assert len(fetched) == min(len(seen) + 1, count)
    assert seen == list(range(count))


def test_elsewhere_batches_come_when_they_are_asked_for():
    fetched = []
    batches = (fetched.append(i) or torch.full((2,), i) for i in range(3))
    for number, batch in enumerate(prefetch(batches, torch.device("cpu"))):
        assert len(fetched) == number + 1
        assert batch.tolist() == [number, number]
    assert len(fetched) == 3


def test_an_error_in_reading_reaches_the_consumer():
    def batches():
        yield torch.zeros(1)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(prefetch(batches(), torch.device("cpu")))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("pinned", [True, False])
def test_batches_arrive_whole_on_the_gpu(pinned):
    device = torch.device("cuda")
    source = [torch.randint(0, 256, (8, 3, 512, 512), dtype=torch.uint8) for _ in range(6)]
    batches = (batch.pin_memory() if pinned else batch for batch in source)
    work = torch.randn(2048, 2048, device=device)
    sums = []
    for batch in prefetch(batches, device):
        for _ in range(5):
            work = (work @ work).tanh()  # the GPU is behind while the next copy starts
        sums.append(batch.long().sum((1, 2, 3)))
        del batch
    assert len(sums) == 6
    for batch, found in zip(source, sums, strict=True):
        assert torch.equal(batch.long().sum((1, 2, 3)), found.cpu())
