"""What an edit to the source retrains: the list of edits, each with the methods that it affects."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from satl.core.places import METHODS, method_module
from satl.runs import code, source
from satl.runs.fingerprint import training_code

GRAPH = {"sst", "sarb", "hst", "dsrb"}
ALL = set(METHODS)
WITHOUT_BCE = {"asl", "partial_asl", "csl", "hill", "splc"}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of the source that a test may edit; the caches start and end empty."""
    for package in source.PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source.ROOT / package, tmp_path / package, ignore=ignore)
    monkeypatch.setattr(source, "ROOT", tmp_path)
    code.forget()
    yield tmp_path
    code.forget()


def digests():
    code.forget()
    return {name: training_code(method_module(name)) for name in METHODS}


def changed_by(edit):
    before = digests()
    edit()
    return difference(before, digests())


def difference(before, after):
    return {name for name in METHODS if before[name] != after[name]}


def replace(path, old, new):
    text = path.read_text()
    assert text.count(old) >= 1, f"{path} has no {old!r} any more: bring this test up to date"
    path.write_text(text.replace(old, new, 1))


# file, what stands there, what takes its place, the methods that must be trained again
EDITS = {
    "a message of an error": (
        "satl/data/table.py", "Give both annotation files", "Give the two files", set()
    ),
    "a message of the loop": ("satl/training/engine.py", "reusing the finished", "using", set()),
    "a docstring": ("satl/losses.py", '"""', '"""In other words: ', set()),
    "a comment": ("satl/losses.py", "def contrastive(", "# A remark.\ndef contrastive(", set()),
    "an annotation": (
        "satl/losses.py", "logits: Tensor, labels: Tensor", "logits, labels: Tensor", set()
    ),
    "a metric": ("satl/metrics.py", "def mean_ap(", "def brier(): ...\ndef mean_ap(", set()),
    "the colour of a figure": ("satl/report/style.py", "COLOURS = ", "COLOURS = 0 or ", set()),
    "how files are written": ("satl/core/files.py", ".part", ".new", set()),
    "the description of an option": (
        "baselines/hst.py", "start of both margins", "where both margins start", set()
    ),
    "a new loss beside the others": (
        "satl/losses.py", "def contrastive(", "def l2(x): ...\ndef contrastive(", set()
    ),
    "a baseline": ("baselines/partial_bce.py", "outputs.logits", "2 * outputs.logits",
                   {"partial_bce"}),
    "a loss of some": ("satl/losses.py", "F.normalize(features", "F.normalize(2 * features", GRAPH),
    "a loss of most": ("satl/losses.py", "terms * sign.abs()", "2 * terms * sign.abs()",
                       ALL - WITHOUT_BCE),
    "a part of two methods": ("satl/methods/parts/large_loss.py", "math.ceil", "math.floor",
                              {"large_loss", "boost_lu"}),
    "the loop": ("satl/training/trainer.py", "training_order(images", "training_order(1 * images",
                 ALL),
    "what images become": ("satl/data/images/batches.py", "(0.485, ", "(0.5, ", ALL),
    "the seeds": ("satl/core/seeds.py", "[:8]", "[8:16]", ALL),
    "semantic decoupling": ("satl/models/decoupling.py", "sigmoid_()", "tanh_()", ALL),
    "a threshold rule": ("satl/threshold_rules.py", "0.5, prior_pos=True", "0.6, prior_pos=True",
                         {"satl"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def unedited():
    """The digests of the source as it is."""
    return digests()


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_retrains_what_it_can_change_and_nothing_else(unedited, tree, name):
    file, old, new, affected = EDITS[name]
    replace(tree / file, old, new)
    assert difference(unedited, digests()) == affected


def test_a_relative_import_counts(tree):
    path = tree / "baselines/ssgrl.py"
    replace(path, "from satl.losses import partial_bce", "from .helper import partial_bce")
    helper = tree / "baselines/helper.py"
    helper.write_text("def partial_bce(logits, labels):\n    return logits.sum()\n")
    edit = lambda: replace(helper, "logits.sum()", "logits.mean()")  # noqa: E731
    assert changed_by(edit) == {"ssgrl"}


def test_an_import_inside_a_function_counts(tree):
    path = tree / "baselines/ssgrl.py"
    replace(path, "    def step(", "    def helped(self):\n        from satl.data.splits import "
            "split\n        return split\n\n    def step(")  # fmt: skip
    edit = lambda: replace(tree / "satl/data/splits.py", "< ratio", "<= ratio")  # noqa: E731
    assert changed_by(edit) == {"ssgrl"}


def test_an_unknown_root_is_an_error():
    with pytest.raises(ValueError, match=r"satl\.nonsense"):
        code.code_digest("satl.nonsense")
    with pytest.raises(ValueError, match=r"satl\.losses:nonsense"):
        code.code_digest("satl.losses:nonsense")


def other_pythons():
    """Interpreters of other versions on this machine."""
    found = [shutil.which(f"python3.{minor}") for minor in range(11, 16)]
    for pyenv in Path.home().glob(".pyenv/versions/3.1[1-9].*/bin/python"):
        found.append(str(pyenv))
    return [path for path in found if path]


def test_every_version_of_python_gives_the_same_digest():
    statement = (
        "from satl.runs.code import code_digest as d; "
        "print(*map(d, ('satl.models', 'satl.training.engine', 'satl.report', 'baselines.hst')))"
    )
    seen = {}
    for python in [sys.executable, *other_pythons()]:
        done = subprocess.run(
            [python, "-c", "import sys; print(sys.version_info[:2])\n" + statement],
            cwd=source.ROOT, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode == 0:
            version, digest = done.stdout.splitlines()
            seen[version] = digest
    assert len(set(seen.values())) == 1, seen
    if len(seen) == 1:
        pytest.skip("no other version of Python on this machine")
