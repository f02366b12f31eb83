"""What a training on a CPU frees it uses again."""

import platform
import resource

import pytest
import torch

from satl.models import SemanticDecoupling
from satl.training.memory import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_steps_cost_no_page_faults():
    """Without the setting each of these steps costs some 500."""
    keep_freed_memory()
    decoupling = SemanticDecoupling(feature_dim=64, attention_dim=32)
    maps, words = torch.randn(20, 64, 5, 5), torch.randn(20, 300)

    def steps(count: int) -> None:
        for _ in range(count):
            decoupling(maps, words).sum().backward()

    steps(5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    steps(20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 20 * 50
