import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from satl.core.errors import UserError
from satl.core.files import digest, write_arrays, write_text, writing


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail():
        with writing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_what_a_killed_process_left_is_removed_and_a_living_one_s_is_not(tmp_path):
    code = "from satl.core.files import writing; import os, sys, pathlib, signal\n"
    code += "with writing(pathlib.Path(sys.argv[1])) as part:\n"
    code += "    part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    path = tmp_path / "a[1].txt"
    subprocess.run([sys.executable, "-c", code, path], cwd=Path(__file__).parents[1])
    assert len(list(tmp_path.iterdir())) == 1
    living = tmp_path / f".a[1].txt.{os.getppid()}.part"
    living.touch()
    write_text(path, "whole")
    assert {file.name for file in tmp_path.iterdir()} == {"a[1].txt", living.name}


def test_a_full_disk_is_said_in_words(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(
        UserError, match=r"a\.npz: cannot be written \(No space left .*Free some space"
    ):
        write_arrays(tmp_path / "a.npz", x=np.zeros(3))
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "dir").mkdir()
    with pytest.raises(UserError, match=r"dir: cannot be written \(Is a directory\)"):
        write_text(tmp_path / "dir", "x")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/x: cannot be written"):
        write_text(tmp_path / "file/x", "x")


def test_a_read_only_file_system_is_named(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(UserError, match=r"x\.txt: cannot be written \(Read-only file system\)"):
        write_text(tmp_path / "x.txt", "x")
    assert not list(tmp_path.iterdir())


def test_a_file_reaches_the_disk_before_its_name_does(tmp_path, monkeypatch):
    done = []
    name = "/proc/self/fd/{}".format
    monkeypatch.setattr(os, "fsync", lambda file: done.append(os.readlink(name(file))))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("rename"), replace(a, b)))
    write_text(tmp_path / "a.txt", "x")
    part = f".a.txt.{os.getpid()}.part"
    assert [Path(path).name for path in done] == [part, "rename", tmp_path.name]


def test_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
