"""Downloads from a server that cuts, stalls, lies, changes and refuses."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import yaml
from file_server import Reply, serving

from satl.config import parse
from satl.core.errors import UserError
from satl.download.http import RetryPolicy
from satl.download.provide import provide

ROOT = Path(__file__).parents[2]
FAST = RetryPolicy(
    connect=2, stall=0.4, attempts=4, progress=10**6, backoff=0.01, longest_wait=0.5
)  # fmt: skip
BODY = np.random.default_rng(0).bytes(700_000)
OTHER = np.random.default_rng(1).bytes(700_000)
FILE, PROVIDED = "test_list_500.txt", "vg/test_list_500.txt"
ARCHIVE = "val2014.zip"


@pytest.fixture(scope="module")
def web():
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def fresh(request):
    if "web" in request.fixturenames:
        server = request.getfixturevalue("web")
        server.seen.clear()
        server.served = 0


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def config(folder, sources, **changes):
    return {
        "name": "x",
        "datasets": {"d": {"format": "glyphs"}},
        "methods": {"satl": {}},
        "known_ratios": [0.5],
        "model": {"backbone": "tiny", "weights": "random"},
        "data_folder": str(folder / "data"),
        "sources": sources,
        **changes,
    }


def get(folder, name=FILE, retry=FAST, keep=False, /, **override):
    """Provide one source; returns its receipt."""
    experiment = parse(config(folder, {name: override}, keep_archives=keep), "x.yaml")
    provide(experiment, [name], retry)
    return json.loads((folder / f"data/receipts/{name}.json").read_text())


def content(folder):
    return (folder / "data" / PROVIDED).read_bytes()


def leftovers(folder):
    return sorted(p.name for p in (folder / "data/downloads").iterdir() if p.name[0] != ".")


def test_a_file_arrives_once_with_a_receipt(web, tmp_path):
    url = web.offer("a", Reply(BODY))
    receipt = get(tmp_path, urls=[url], sha256=sha256(BODY), bytes=len(BODY))
    assert content(tmp_path) == BODY
    assert receipt["address"] == url
    assert receipt["provides"] == str(tmp_path / "data" / PROVIDED)
    assert (receipt["bytes"], receipt["sha256"]) == (len(BODY), sha256(BODY))
    assert receipt["md5"] == hashlib.md5(BODY).hexdigest()
    assert receipt["date"].startswith("20")
    assert leftovers(tmp_path) == []
    assert get(tmp_path, urls=[url], sha256=sha256(BODY)) == receipt
    assert len(web.seen) == 1


@pytest.mark.parametrize("fault", [{"cut": 400_000}, {"cut": 400_000, "stall": 5}])
def test_a_cut_or_stalled_download_goes_on_where_it_was(web, tmp_path, fault):
    url = web.offer("a", Reply(BODY, **fault), Reply(BODY))
    get(tmp_path, urls=[url], sha256=sha256(BODY))
    assert content(tmp_path) == BODY
    second = web.asked("a")[1]
    assert second["If-Range"] == '"1"'
    start = int(second["Range"].removeprefix("bytes=").rstrip("-"))
    assert 300_000 < start <= 400_000
    assert web.served == 400_000 + len(BODY) - start


def test_cuts_that_bring_something_do_not_use_up_the_patience(web, tmp_path):
    url = web.offer("a", Reply(BODY, cut=66_000))
    retry = RetryPolicy(attempts=2, progress=60_000, backoff=0)
    get(tmp_path, FILE, retry, urls=[url], sha256=sha256(BODY))
    assert content(tmp_path) == BODY
    assert len(web.seen) > 5


def test_a_server_without_ranges_sends_all_again(web, tmp_path):
    url = web.offer("a", Reply(BODY, cut=300_000, ranges=False), Reply(BODY, ranges=False))
    get(tmp_path, urls=[url], sha256=sha256(BODY))
    assert "Range" in web.asked("a")[1]
    assert content(tmp_path) == BODY


@pytest.mark.parametrize("if_range", [True, False])
def test_heads_and_tails_of_two_versions_are_not_glued(web, tmp_path, if_range):
    """Without any checksum, whether or not the server heeds If-Range."""
    replies = Reply(BODY, cut=300_000), Reply(OTHER, etag='"2"', if_range=if_range)
    get(tmp_path, urls=[web.offer("a", *replies)], unchecked=True)
    assert content(tmp_path) == OTHER


def test_a_redirect_does_not_switch_the_guard_off(web, tmp_path):
    web.offer("a", Reply(BODY, cut=300_000), Reply(OTHER, etag='"2"', if_range=False))
    url = web.offer("first", Reply(status=302, headers={"Location": web.url("a")}))
    get(tmp_path, urls=[url], unchecked=True)
    assert content(tmp_path) == OTHER


def test_without_validator_and_checksum_a_cut_download_starts_afresh(web, tmp_path):
    url = web.offer("a", Reply(BODY, cut=300_000, etag=None), Reply(OTHER, etag=None))
    get(tmp_path, urls=[url], unchecked=True)
    assert content(tmp_path) == OTHER
    assert "Range" not in web.asked("a")[1]


def test_a_last_modified_guards_where_there_is_no_strong_etag(web, tmp_path):
    date = {"Last-Modified": "Mon, 02 Jan 2023 00:00:00 GMT"}
    url = web.offer("a", Reply(BODY, cut=300_000, etag='W/"1"', headers=date), Reply(BODY))
    get(tmp_path, urls=[url], unchecked=True)
    assert web.asked("a")[1]["If-Range"] == date["Last-Modified"]
    assert content(tmp_path) == BODY


@pytest.mark.parametrize("length", [len(BODY) + 5000, 1000])
def test_a_wrong_content_length_does_no_harm(web, tmp_path, length):
    url = web.offer("a", Reply(BODY, length=length), Reply(BODY))
    get(tmp_path, urls=[url], sha256=sha256(BODY))
    assert content(tmp_path) == BODY


def test_a_corrupt_file_is_fetched_again_once(web, tmp_path):
    url = web.offer("a", Reply(OTHER), Reply(BODY))
    get(tmp_path, urls=[url], md5=hashlib.md5(BODY).hexdigest())
    assert content(tmp_path) == BODY
    assert "Range" not in web.asked("a")[1]


def test_a_mirror_completes_what_another_began_and_gives_up_the_corrupt(web, tmp_path):
    first = web.offer("a", Reply(BODY, cut=500_000), Reply(status=404))
    second = web.offer("b", Reply(BODY))
    get(tmp_path, urls=[first, second], sha256=sha256(BODY))
    assert content(tmp_path) == BODY
    assert web.served < len(BODY) + 100_000

    corrupt = web.offer("c", Reply(OTHER))
    get(tmp_path / "2", urls=[corrupt, second], sha256=sha256(BODY))
    assert content(tmp_path / "2") == BODY
    assert len(web.asked("c")) == 2


@pytest.mark.parametrize("status", [404, 410, 403])
def test_a_missing_file_sends_to_the_next_mirror_at_once(web, tmp_path, status):
    gone, there = web.offer("a", Reply(status=status)), web.offer("b", Reply(BODY))
    receipt = get(tmp_path, urls=[gone, there], sha256=sha256(BODY))
    assert receipt["address"] == there
    assert len(web.asked("a")) == 1


@pytest.mark.parametrize("status", [503, 429])
def test_a_busy_server_is_asked_again_when_it_says(web, tmp_path, status):
    url = web.offer("a", Reply(status=status, headers={"Retry-After": "0"}), Reply(BODY))
    retry = RetryPolicy(backoff=1000, longest_wait=1000)  # it says 0 s: nobody waits so long
    get(tmp_path, FILE, retry, urls=[url], sha256=sha256(BODY))
    assert content(tmp_path) == BODY


@pytest.mark.parametrize("year", [1998, 2098])
def test_a_date_to_try_again_is_by_the_server_s_clock(web, tmp_path, year):
    day = f"01 Jan {year} 00:00"
    headers = {"Date": f"Wed, {day}:00 GMT", "Retry-After": f"Wed, {day}:01 GMT"}
    url = web.offer("a", Reply(status=503, headers=headers), Reply(BODY))
    start = time.monotonic()
    get(tmp_path, FILE, RetryPolicy(backoff=1000, longest_wait=5), urls=[url], sha256=sha256(BODY))
    assert 1 <= time.monotonic() - start < 5


def test_all_failures_are_listed_with_the_way_out(web, tmp_path):
    urls = [
        web.offer("gone", Reply(status=404)),
        web.offer("busy", Reply(status=503, headers={"Retry-After": "86400"})),
        web.offer("tired", Reply(status=500)),
        web.offer("corrupt", Reply(OTHER)),
        "http://127.0.0.1:9/refused",
    ]
    with pytest.raises(UserError) as raised:
        get(tmp_path, urls=urls, sha256=sha256(BODY))
    lines = str(raised.value).splitlines()
    assert lines[0] == "test_list_500.txt: could not be downloaded from any URL:"
    for url, line in zip(urls, lines[1:], strict=False):
        assert url in line
    assert "HTTP 404" in lines[1]
    assert "HTTP 503" in lines[2] and "asks to wait for 86400 s" in lines[2]
    assert "HTTP 500" in lines[3] and "4 tries" in lines[3]
    assert "twice: its sha256 is" in lines[4] and sha256(BODY) in lines[4]
    assert "refused" in lines[5]
    assert "sources: {test_list_500.txt: {path: FILE}}" in lines[6]
    assert len(web.asked("busy")) == 1 and len(web.asked("tired")) == 4
    assert not (tmp_path / "data/receipts").exists()


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
