"""SIGTERM and Ctrl-C to the whole process group of a training whose workers decode images."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFIG = """
name: x
datasets: {d: {format: glyphs}}
methods: {satl: , partial_bce: }
known_ratios: [0.5]
model: {backbone: tiny, weights: random, feature_dim: 12, attention_dim: 6}
training: {epochs: 500, batch_size: 5, resize: 18, image_size: 16}
"""  # workers: 2 and image_cache: none, the defaults
COMMAND = """
import sys
from satl import cli
from satl.data.images import loading
loading.START_METHOD = sys.argv[1]
sys.exit(cli.main(sys.argv[2:]))
"""


class Job:
    """A training in a process group of its own."""

    def __init__(self, folder: Path, weights: Path, start_method: str) -> None:
        self.log = folder / "log"
        arguments = [
            "train", "--config", "x.yaml", "--dataset", "d", "--test-images", "test.npz",
            "--weights", str(weights), "--store", "c", "--device", "cpu",
            "--run", "satl", "observed.npz", "out/satl",
            "--run", "partial_bce", "observed.npz", "out/partial_bce",
        ]  # fmt: skip
        with open(self.log, "w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, start_method, *arguments],
                cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip

    def said(self, pattern: str) -> bool:
        return re.search(pattern, self.log.read_text()) is not None

    def signalled(self, number: int, delay: float) -> int:
        """The exit status after a signal to the group, `delay` seconds into the training."""
        try:
            while not self.said(r"epoch \d+/500"):
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.01)
            time.sleep(delay)
            os.killpg(self.process.pid, number)
            return self.process.wait(60)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)


def left_behind(group: int) -> list[str]:
    """Processes of the group that are still there a moment later."""
    time.sleep(0.5)
    lines = subprocess.run(
        ["ps", "-eo", "pgid,stat,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [line for line in lines if line.split()[0] == str(group) and "Z" not in line.split()[1]]


@pytest.mark.slow
@pytest.mark.parametrize("start_method", ["fork", "forkserver"])
def test_a_signal_to_the_group_saves_a_checkpoint(
    tmp_path, shared, observed, weights, start_method
):
    """At random moments, also while workers start: they do at every epoch, of four batches."""
    observed.save(tmp_path / "observed.npz")
    shared.test.save(tmp_path / "test.npz")
    (tmp_path / "x.yaml").write_text(CONFIG)
    moments = random.Random(start_method)
    for attempt, number in enumerate((signal.SIGTERM, signal.SIGINT)):
        job = Job(tmp_path, weights, start_method)
        assert job.signalled(number, moments.uniform(0, 1.5)) == 128 + number, job.log.read_text()
        assert job.said(f"stopped by {number.name} after saving a checkpoint")
        assert not job.said("Traceback|Error|error|leaked"), job.log.read_text()
        assert job.said("resuming after epoch") == (attempt > 0)
        assert not left_behind(job.process.pid)
