"""Peak memory of the fused modules beside the textbook's: `python tests/bench/peak_memory.py`.

Each measurement is a process of its own; the figure is what its peak rises by over the inputs.
"""

import resource
import subprocess
import sys
from pathlib import Path

import torch

CASES = ("decoupling factored", "decoupling textbook", "pair head C=200 B=8")


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(case: str) -> float:
    """MiB by which forward and backward raise the peak of this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if case.startswith("decoupling"):
        import test_bench_decoupling as bench

        layer = bench.SemanticDecoupling(bench.FEATURES, bench.ATTENTION, word_dim=300)
        maps = torch.randn(bench.BATCH, bench.FEATURES, bench.SIDE, bench.SIDE)
        words = torch.randn(bench.CATEGORIES, 300)
        textbook = case.endswith("textbook")
        function = (lambda m, w: bench.textbook(layer, m, w)) if textbook else layer
        before = peak_mib()
        bench.forward_backward(function, maps, words)
    else:
        from satl.models import PairHead

        head, features = PairHead(200, 1024, 512), torch.randn(8, 200, 1024, requires_grad=True)
        before = peak_mib()
        head(features).square().sum().backward()
    return peak_mib() - before


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
