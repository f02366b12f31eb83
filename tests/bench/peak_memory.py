"""Peak memory of the fused modules beside the textbook's: `python tests/bench/peak_memory.py`.

Each measurement is a process of its own; the figure is what forward and backward need at their
peak over what is in use before (inputs and parameters). Linux only.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

CASES = ("decoupling factored", "decoupling textbook", "pair head C=200 B=8")


def rise_of_peak(step: Callable[[], object]) -> float:
    """MiB by which `step` raises the memory of this process above what it is now."""
    status = Path("/proc/self/status")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is in use
    before = int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1])
    step()
    return (int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) - before) / 1024


def measure(case: str) -> float:
    """MiB that forward and backward need at their peak."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if case.startswith("decoupling"):
        import test_bench_decoupling as bench

        layer = bench.SemanticDecoupling(bench.FEATURES, bench.ATTENTION, word_dim=300)
        maps = torch.randn(bench.BATCH, bench.FEATURES, bench.SIDE, bench.SIDE)
        words = torch.randn(bench.CATEGORIES, 300)
        textbook = case.endswith("textbook")
        function = (lambda m, w: bench.textbook(layer, m, w)) if textbook else layer
        # Once in the small, for what libraries allocate at their first use.
        bench.forward_backward(function, maps[:1, :, :2, :2], words[:2])
        return rise_of_peak(lambda: bench.forward_backward(function, maps, words))
    from satl.models import PairHead

    head, features = PairHead(200, 1024, 512), torch.randn(8, 200, 1024, requires_grad=True)
    return rise_of_peak(lambda: head(features).square().sum().backward())


def main() -> None:
    """With a case as argument: its figure. Without: a process and a line for each."""
    if len(sys.argv) > 1:
        print(measure(sys.argv[1]))
        return
    for case in CASES:
        command = [sys.executable, __file__, case]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(f"{case:24} {float(done.stdout):8.0f} MiB")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    main()
