"""What becomes of a download: checked, unpacked, kept once, by several processes."""

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import namedtuple

import pytest
import yaml
from download_trials import (
    ARCHIVE,
    BODY,
    FAST,
    FILE,
    OTHER,
    PROVIDED,
    ROOT,
    config,
    content,
    get,
    leftovers,
    sha256,
    zipped,
)
from file_server import Reply

from satl.config import parse
from satl.core.errors import UserError
from satl.download.provide import provide


def test_the_size_is_compared_before_anything_is_fetched(web, tmp_path):
    url = web.offer("a", Reply(BODY))
    with pytest.raises(UserError, match=f"offers {len(BODY)} bytes instead of 5"):
        get(tmp_path, urls=[url], bytes=5)


def test_what_came_first_is_what_comes_later(web, tmp_path):
    url = web.offer("a", Reply(BODY))
    get(tmp_path, urls=[url], unchecked=True)
    (tmp_path / "data" / PROVIDED).unlink()
    get(tmp_path, urls=[url], unchecked=True)
    assert content(tmp_path) == BODY
    (tmp_path / "data" / PROVIDED).unlink()
    web.offer("a", Reply(OTHER))
    with pytest.raises(UserError, match=r"its sha256 is [0-9a-f]{64} instead of"):
        get(tmp_path, urls=[url], unchecked=True)


def test_a_config_that_asks_for_another_file_is_told_so(web, tmp_path):
    url = web.offer("a", Reply(BODY))
    get(tmp_path, urls=[url], sha256=sha256(BODY))
    with pytest.raises(UserError, match=r"made from another file than the config asks for"):
        get(tmp_path, urls=[url], sha256=sha256(OTHER))
    assert content(tmp_path) == BODY


def test_the_user_s_own_file_stays(web, tmp_path):
    own = tmp_path / "data" / PROVIDED
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    experiment = parse(config(tmp_path, {FILE: {"urls": [web.url("a")]}}), "x")
    provide(experiment, [FILE], FAST)
    assert own.read_text() == "mine"
    assert web.seen == []


def test_archives_are_unpacked_and_removed_unless_they_are_to_stay(web, tmp_path):
    body = zipped({"val2014/a.jpg": BODY, "val2014/b.jpg": b"b"})
    url = web.offer("a", Reply(body, cut=100_000), Reply(body))
    get(tmp_path / "1", ARCHIVE, urls=[url], sha256=sha256(body))
    assert (tmp_path / "1/data/coco2014/val2014/a.jpg").read_bytes() == BODY
    assert leftovers(tmp_path / "1") == []

    get(tmp_path / "2", ARCHIVE, FAST, True, urls=[url], sha256=sha256(body))
    assert leftovers(tmp_path / "2") == [ARCHIVE]
    shutil.rmtree(tmp_path / "2/data/coco2014")
    web.seen.clear()
    get(tmp_path / "2", ARCHIVE, FAST, True, urls=[url], sha256=sha256(body))
    assert (tmp_path / "2/data/coco2014/val2014/b.jpg").read_bytes() == b"b"
    assert web.seen == []


def test_a_tar_archive_is_unpacked_like_a_zip(web, tmp_path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("VOCdevkit/VOC2007/JPEGImages/1.jpg")
        member.size = len(BODY)
        archive.addfile(member, io.BytesIO(BODY))
    body, name = file.getvalue(), "VOCtest_06-Nov-2007.tar"
    # Without a checksum, what is no archive is not taken for one.
    url = web.offer("a", Reply(b"<html>" * 99), Reply(body))
    get(tmp_path, name, urls=[url], unchecked=True)
    assert len(web.seen) == 2
    kit = tmp_path / "data/voc2007/test/VOCdevkit"
    assert (kit / "VOC2007/JPEGImages/1.jpg").read_bytes() == BODY
    assert leftovers(tmp_path) == []


def test_an_incomplete_or_damaged_archive_is_not_kept(web, tmp_path):
    body = zipped({"val2014/a.jpg": b"needle" * 99})
    url = web.offer("a", Reply(body[:-30]), Reply(body))
    get(tmp_path, ARCHIVE, urls=[url], unchecked=True)
    assert len(web.seen) == 2
    url = web.offer("a", Reply(body.replace(b"needle", b"noodle")))
    with pytest.raises(UserError, match=r"damaged.*It was deleted; run the same command again"):
        get(tmp_path / "2", ARCHIVE, urls=[url], unchecked=True)
    assert leftovers(tmp_path / "2") == []
    assert not (tmp_path / "2/data/receipts").exists()


def test_local_files_are_used_where_they_lie(tmp_path):
    list_file, archive = tmp_path / "list.txt", tmp_path / "val.zip"
    list_file.write_bytes(BODY)
    archive.write_bytes(zipped({"val2014/a.jpg": b"a"}))
    receipt = get(tmp_path, path=str(list_file), sha256=sha256(BODY)[:12])
    assert receipt["address"] == str(list_file)
    assert (tmp_path / "data" / PROVIDED).readlink() == list_file
    get(tmp_path, ARCHIVE, path=str(archive), unchecked=True)
    assert (tmp_path / "data/coco2014/val2014/a.jpg").read_bytes() == b"a"
    assert archive.exists()


def test_wrong_local_files_are_named(tmp_path):
    file = tmp_path / "list.txt"
    file.write_bytes(BODY)
    with pytest.raises(UserError, match=r"sources\.test_list_500.*list\.txt failed verification"):
        get(tmp_path, path=str(file))  # which has the catalogue's size and checksum
    with pytest.raises(UserError, match="no such file"):
        get(tmp_path, path=str(tmp_path / "none"))
    with pytest.raises(UserError, match="is a folder"):
        get(tmp_path, path=str(tmp_path))


def test_a_git_blob_id_identifies_a_file(web, tmp_path, monkeypatch):
    from satl.config.catalogue import CATALOGUE, Checks, Source
    from satl.download import needs

    blob = "557db03de997c86a4a028e1ebd3a1ceb225be238"  # git hash-object, of "Hello World\n"
    url = web.offer("a", Reply(b"Hello World!\n"), Reply(b"Hello World\n"))
    source = Source((url,), provides=PROVIDED, size=12, checks=Checks(git_blob=blob))
    monkeypatch.setattr(needs, "CATALOGUE", {**CATALOGUE, FILE: source})
    provide(parse(config(tmp_path, {}), "x"), [FILE], FAST)
    assert content(tmp_path) == b"Hello World\n"


def test_a_full_disk_is_noticed_before_anything_is_fetched(web, tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9))
    experiment = parse(config(tmp_path, {}), "x")
    with pytest.raises(UserError, match=r"train2014\.zip, val2014\.zip needs 40\.2 GB, but only"):
        provide(experiment, ["train2014.zip", ARCHIVE], FAST)
    # Of a size that only the server knows.
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100 * 10**6 + 1000))
    url = web.offer("a", Reply(BODY))
    with pytest.raises(UserError, match=r"needs 0\.7 MB, but only 100\.0 MB are free"):
        get(tmp_path, urls=[url], sha256=sha256(BODY))
    assert f"{FILE}.part" not in leftovers(tmp_path)


def start_download(folder, sources, *only):
    (folder / "x.yaml").write_text(yaml.safe_dump(config(folder, sources)))
    command = [sys.executable, "-m", "satl", "download", "--config", str(folder / "x.yaml")]
    return subprocess.Popen([*command, "--only", *only], cwd=ROOT, stderr=subprocess.PIPE)


def test_a_killed_process_is_gone_on_from_by_the_next(web, tmp_path):
    url = web.offer("a", Reply(BODY, cut=400_000, stall=30), Reply(BODY))
    override = {"urls": [url], "sha256": sha256(BODY)}
    process = start_download(tmp_path, {FILE: override}, FILE)
    part, deadline = tmp_path / f"data/downloads/{FILE}.part", time.monotonic() + 30
    while not part.exists() or part.stat().st_size < 300_000:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    arrived = part.stat().st_size
    get(tmp_path, **override)
    assert content(tmp_path) == BODY
    assert web.asked("a")[1]["Range"] == f"bytes={arrived}-"
    assert web.served == 400_000 + len(BODY) - arrived


def test_two_processes_fetch_a_file_once_and_several_files_at_a_time(web, tmp_path):
    body = zipped({"val2014/a.jpg": BODY})
    url = web.offer("a", Reply(body, cut=200_000, stall=1.5), Reply(body))
    sources = {
        ARCHIVE: {"urls": [url], "sha256": sha256(body)},
        FILE: {"urls": [web.offer("b", Reply(BODY))], "sha256": sha256(BODY)},
    }
    # The stall is no cut for them, who wait for a minute: the server closes after it.
    both = [start_download(tmp_path, sources, ARCHIVE, FILE) for _ in range(2)]
    said = [process.communicate(timeout=60)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len(web.asked("a")) == 2 and len(web.asked("b")) == 1
    assert "waiting for another process" in "".join(said)
    assert (tmp_path / "data/coco2014/val2014/a.jpg").read_bytes() == BODY
    # The small file did not wait for the large one.
    assert web.seen[-1][0] == "a"
