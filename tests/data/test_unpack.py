import io
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from satl.core.errors import UserError
from satl.download import unpack as module
from satl.download.unpack import Damaged, unpack


def make_zip(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def make_tar(path, members, kinds=()):
    kinds = dict(kinds)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.type = len(content), kinds.get(name, tarfile.REGTYPE)
            member.linkname = "/etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    return path


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_arrives_whole_and_nothing_else(tmp_path):
    members = {"val/": "", "val/a.jpg": b"a" * 50, "val/sub/b.jpg": b"b", "__MACOSX/val/x": b"x"}
    archive = make_zip(tmp_path / "val.zip", members)
    places = []
    unpack(archive, tmp_path / "data/val", lambda *place: places.append(place))
    assert everything(tmp_path / "data") == ["val", "val/a.jpg", "val/sub", "val/sub/b.jpg"]
    assert (tmp_path / "data/val/a.jpg").read_bytes() == b"a" * 50
    assert places[-1] == (51, 51)


def test_a_single_file(tmp_path):
    archive = make_zip(tmp_path / "o.zip", {"objects.json": b"{}"})
    unpack(archive, tmp_path / "vg/objects.json")
    assert (tmp_path / "vg/objects.json").read_text() == "{}"
    assert everything(tmp_path / "vg") == ["objects.json"]


@pytest.mark.parametrize(
    "name", ["../evil", "val/../../evil", "/etc/evil", "val\\..\\..\\evil", "C:\\evil", "\\evil"]
)
def test_a_member_that_would_lie_elsewhere_is_refused(tmp_path, name):
    archive = make_zip(tmp_path / "a.zip", {"val/good": b"1", name: b"2"})
    with pytest.raises(UserError, match="refused, as its member"):
        unpack(archive, tmp_path / "in/data/val")
    assert everything(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path, kind):
    member = zipfile.ZipInfo("val/link")
    member.create_system, member.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(UserError, match=r"'val/link' is a link or a device"):
        unpack(tmp_path / "a.zip", tmp_path / "data/val")


def test_a_truncated_archive_leaves_nothing(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {f"val/{i}": b"x" * 99 for i in range(9)})
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(Damaged, match=r"a\.zip: damaged, incomplete"):
        unpack(archive, tmp_path / "data/val")
    assert everything(tmp_path) == ["a.zip"]


def test_a_flipped_bit_is_noticed_and_leaves_nothing(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"val/first": b"1", "val/second": b"needle" * 9})
    archive.write_bytes(archive.read_bytes().replace(b"needle", b"noodle", 1))
    with pytest.raises(Damaged, match="Bad CRC-32"):
        unpack(archive, tmp_path / "data/val")
    assert everything(tmp_path / "data") == []


def test_another_archive_is_named(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"train/a": b"1", "valx/a": b"1"})
    with pytest.raises(Damaged, match="holds no val; is it the right file"):
        unpack(archive, tmp_path / "data/val")
    with pytest.raises(UserError, match="no such archive"):
        unpack(tmp_path / "b.zip", tmp_path / "data/val")


def test_the_declared_sizes_must_fit_the_disk(tmp_path, monkeypatch):
    archive = make_zip(
        tmp_path / "a.zip", {"val/a": bytes(3 * 10**6)}, compression=zipfile.ZIP_DEFLATED
    )
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(module.SPARE + 2 * 10**6))
    with pytest.raises(UserError, match=r"a\.zip needs 3\.0 MB, but only 102\.0 MB are free"):
        unpack(archive, tmp_path / "data/val")
    assert everything(tmp_path) == ["a.zip"]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(module.SPARE + 4 * 10**6))
    unpack(archive, tmp_path / "data/val")


def test_the_rest_of_a_killed_process_is_cleared_and_the_user_s_folder_is_not(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"val/a": b"1"})
    rest = tmp_path / "data/.val.unpacking/val"
    rest.mkdir(parents=True)
    (rest / "old").touch()
    unpack(archive, tmp_path / "data/val")
    assert everything(tmp_path / "data") == ["val", "val/a"]
    with pytest.raises(UserError, match="exists already"):
        unpack(archive, tmp_path / "data/val")
    assert everything(tmp_path / "data") == ["val", "val/a"]


def test_a_folder_of_a_tar_archive(tmp_path):
    members = {"kit/": b"", "kit/sub/a.jpg": b"a" * 700, "./kit/b": b"b", "other/c": b"c"}
    archive = make_tar(tmp_path / "a.tar", members, {"kit/": tarfile.DIRTYPE})
    places = []
    unpack(archive, tmp_path / "data/kit", lambda *place: places.append(place))
    assert everything(tmp_path / "data") == ["kit", "kit/b", "kit/sub", "kit/sub/a.jpg"]
    assert (tmp_path / "data/kit/sub/a.jpg").read_bytes() == b"a" * 700
    assert places[-1] == (701, 701)


@pytest.mark.parametrize("name", ["../evil", "kit/../../evil", "/etc/evil"])
def test_a_tar_member_that_would_lie_elsewhere_is_refused(tmp_path, name):
    archive = make_tar(tmp_path / "a.tar", {"kit/good": b"1", name: b"2"})
    with pytest.raises(UserError, match="refused, as its member"):
        unpack(archive, tmp_path / "in/data/kit")
    assert everything(tmp_path) == ["a.tar"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    archive = make_tar(tmp_path / "a.tar", {"kit/link": b""}, {"kit/link": kind})
    with pytest.raises(UserError, match=r"'kit/link' is a link or a device"):
        unpack(archive, tmp_path / "data/kit")


def test_a_truncated_tar_leaves_nothing(tmp_path):
    archive = make_tar(tmp_path / "a.tar", {f"kit/{i}": b"x" * 9000 for i in range(9)})
    archive.write_bytes(archive.read_bytes()[:50_000])
    assert module.is_archive(archive)
    with pytest.raises(Damaged, match=r"a\.tar: damaged, incomplete"):
        unpack(archive, tmp_path / "data/kit")
    assert everything(tmp_path) == ["a.tar"]


def test_python_3_11_0_will_do(tmp_path):
    """`tarfile` has had its filters since 3.11.4, and Debian 12 has 3.11.2."""
    make_tar(tmp_path / "a.tar", {"kit/x": b"1"})
    code = (
        "import sys, tarfile; from pathlib import Path; vars(tarfile).pop('data_filter', None);"
        "from satl.download.unpack import unpack; unpack(*map(Path, sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, tmp_path / "a.tar", tmp_path / "kit"]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True)
    assert (tmp_path / "kit/x").read_bytes() == b"1"
