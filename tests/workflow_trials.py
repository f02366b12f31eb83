"""The whole workflow on a tiny experiment: what tests of it share."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent

TINY = {
    "name": "tiny",
    "device": "cpu",
    "datasets": {"glyphs": {"format": "glyphs", "train_images": 60, "test_images": 30}},
    "methods": {"satl": {}, "partial_bce": {}},
    "known_ratios": [0.5, 0.9],
    "validation": 0.25,
    "runs_per_job": 2,
    "model": {"backbone": "tiny", "weights": "glyphs", "feature_dim": 16, "attention_dim": 8},
    "training": {
        "epochs": 3, "batch_size": 20, "learning_rate": 1e-3, "lr_step": 2, "resize": 36,
        "image_size": 32, "workers": 0, "image_cache": "disk",
    },
    "pretraining": {"images": 200, "epochs": 1},
}  # fmt: skip


def snakemake(tree, *arguments, config="tiny.yaml"):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", config]
    return subprocess.run(
        [*command, *arguments], cwd=tree, capture_output=True, text=True, timeout=400
    )


def output(done):
    return done.stdout + done.stderr


def planned(tree, *arguments, **options):
    """Jobs that a dry run announces, by rule; those of training and evaluation by their name."""
    done = snakemake(tree, "-n", *arguments, **options)
    assert done.returncode == 0, output(done)
    jobs = {}
    for rule, body in re.findall(
        r"^(?:local)?rule (\w+):\n((?: .*\n)*)", output(done), re.MULTILINE
    ):
        job = re.search(r"\bjob=([^,\s]+)", body) or re.search(r"log: .*/(.*)\.log", body)
        jobs.setdefault(rule.split("_")[0], set()).add(job and job[1])
    return jobs


def copy_tree(folder):
    for name in ("satl", "baselines", "workflow"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copy(ROOT / "Snakefile", folder)
    shutil.copy(ROOT / "environment.yml", folder)
    (folder / "profiles").symlink_to("workflow/profiles")


def write_config(tree, file="tiny.yaml", /, **changes):
    (tree / file).write_text(yaml.safe_dump({**TINY, **changes}))


LINGERING = """

EPOCH_CHECKPOINT_SECONDS = 0
_usual = Trainer._end_epoch


def _lingering(*arguments):
    from pathlib import Path

    _usual(*arguments)
    time.sleep(0 if Path("hurry").exists() else 2)


Trainer._end_epoch = _lingering
"""


def linger(tree):
    """Let training jobs save every epoch and then wait two seconds, without computing.

    So they outlast, on a busy machine too, whatever is to happen meanwhile, until `hurry`.
    """
    with open(tree / "satl/training/trainer.py", "a") as file:
        file.write(LINGERING)


def hurry(tree):
    """Let training jobs that `linger` do so no longer."""
    (tree / "hurry").touch()
