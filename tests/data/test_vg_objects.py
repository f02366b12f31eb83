"""Visual Genome's objects.json, read one object at a time."""

import json
import tracemalloc

import pytest

from satl.core.errors import UserError
from satl.data.vg.objects import read_objects

OBJECTS = [{"a": 1}, {"b": [{"c": 'x ] , } " \\ é 火'}, {}]}, {}, {"d": {"e": None, "f": 1.5}}]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "objects.json"


@pytest.mark.parametrize("indent", [None, 3])
def test_it_reads_what_json_reads(path, indent):
    text = json.dumps(OBJECTS, indent=indent, ensure_ascii=False)
    path.write_text(f"\n {text} \n", encoding="utf-8")
    assert list(read_objects(path)) == OBJECTS
    path.write_text("[ ]")
    assert list(read_objects(path)) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "after 0 objects, .*does not begin"),
        (b'{"a": 1}', "after 0 objects, .*does not begin"),
        (b"[1, 2]", "after 0 objects, .*expected an object, found 1"),
        (b'[{"a": 1}, ', "after 1 objects, .*cut off"),
        (b'[{"a": 1}, {"b": "c', "after 1 objects, .*cut off"),
        (b'[{"a": 1}', "after 1 objects, .*cut off"),
        (b'[{"a": 1} {"b": 2}]', "after 1 objects, .*cut off"),
        (b'[{"a": 1}]]', "after 1 objects, .*cut off"),
        (b"[{'a': 1}]", "after 0 objects, .*cut off"),
        (b'[{"a": "\xff"}]', "after 0 objects, .*(?i:utf.?8)"),
    ],
)
def test_anything_else_is_named(path, content, message):
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"objects\.json: {message}") as error:
        list(read_objects(path))
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(path):
    with pytest.raises(UserError, match=r"objects\.json: no such file of objects"):
        list(read_objects(path))


def test_memory_does_not_grow_with_the_file(path):
    path.write_text(json.dumps([{"names": ["tree"] * 50}] * 20_000))
    assert path.stat().st_size > 8e6
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_objects(path)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
