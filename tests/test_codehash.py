import shutil

import pytest

from satl.core.registry import METHODS
from satl.runs import codehash


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of the source that a test may edit; the caches start and end empty."""
    for package in codehash.PACKAGES:
        shutil.copytree(codehash.ROOT / package, tmp_path / package)
    monkeypatch.setattr(codehash, "ROOT", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget():
    for cached in (codehash.code_hash, codehash._tree, codehash._imports, codehash._meaning):
        cached.cache_clear()


def hashes():
    forget()
    return {method: codehash.training_code(method) for method in METHODS}


def changed_by(edit):
    before = hashes()
    edit()
    after = hashes()
    return {method for method in METHODS if before[method] != after[method]}


def append(path, text):
    path.write_text(path.read_text() + text)


def test_an_edit_to_one_method_changes_that_method_alone(tree):
    edit = lambda: append(tree / "baselines/partial_bce.py", "\nX = 1\n")  # noqa: E731
    assert changed_by(edit) == {"partial_bce"}


def test_an_edit_to_shared_code_changes_those_that_use_it(tree):
    using = {"satl", "fixed_threshold"}
    found = changed_by(lambda: append(tree / "satl/thresholds.py", "\nX = 1\n"))
    assert using <= found
    assert "partial_bce" not in found
    assert changed_by(lambda: append(tree / "satl/training/engine.py", "\nX = 1\n")) == set(METHODS)


def test_comments_docstrings_and_the_registry_change_nothing(tree):
    engine = tree / "satl/training/engine.py"
    first = engine.read_text().splitlines()[0]
    assert first.startswith('"""')
    edits = [
        lambda: append(engine, "\n# a remark\n"),
        lambda: engine.write_text(engine.read_text().replace(first, '"""Other words."""')),
        lambda: append(tree / "satl/core/registry.py", "\nX = 1\n"),
        lambda: append(tree / "satl/report/__init__.py", "\nX = 1\n"),
    ]
    for edit in edits:
        assert changed_by(edit) == set()


def test_an_unknown_module_is_an_error():
    with pytest.raises(ValueError, match=r"satl\.nonsense"):
        codehash.code_hash("satl.nonsense")
