import json
import tracemalloc

import pytest

from satl.core.errors import UserError
from satl.data.json_stream import stream_objects

OBJECTS = [{"a": 1}, {"b": [{"c": 'x ] , } " \\ é 火'}, {}]}, {}, {"d": {"e": None}}]


def items(path, **options):
    return list(stream_objects(path, "file of things", **options))


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("indent", [None, 3])
def test_it_reads_what_json_reads(tmp_path, chunk, indent):
    path = tmp_path / "x.json"
    text = json.dumps(OBJECTS, indent=indent, ensure_ascii=False)
    path.write_text(f"\n {text} \n", encoding="utf-8")
    assert items(path, chunk=chunk) == OBJECTS


def test_an_empty_list(tmp_path):
    (tmp_path / "x.json").write_text("[ ]")
    assert items(tmp_path / "x.json") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"after 0 objects, .*expected \[, found the end"),
        ('{"a": 1}', r"after 0 objects, .*expected \[, found \{"),
        ("[1, 2]", r"after 0 objects, .*expected \{, found 1"),
        ('[{"a": 1}, ', r"after 1 objects, .*expected \{, found the end"),
        ('[{"a": 1}, {"b": "c', "after 1 objects, .*Unterminated string"),
        ('[{"a": 1}', r"after 1 objects, .*expected , or \], found the end"),
        ('[{"a": 1} {"b": 2}]', r"after 1 objects, .*expected , or \], found \{"),
        ('[{"a": 1}]]', "after 1 objects, .*more text after the list"),
        ("[{'a': 1}]", "after 0 objects, .*property name"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1000])
def test_anything_else_is_named(tmp_path, text, message, chunk):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match=r"x\.json: " + message):
        items(tmp_path / "x.json", chunk=chunk)


def test_a_missing_file_and_bytes_that_are_no_text(tmp_path):
    with pytest.raises(UserError, match=r"x\.json: no such file of things"):
        items(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(b'[{"a": "\xff"}]')
    with pytest.raises(UserError, match="not UTF-8"):
        items(tmp_path / "x.json")


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"names": ["tree"] * 50}] * 20_000))
    assert path.stat().st_size > 8e6
    tracemalloc.start()
    try:
        assert sum(1 for _ in stream_objects(path, "file", chunk=1 << 16)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
