"""Downloads from a server that cuts, stalls, lies, changes and refuses."""

import hashlib
import time

import pytest
from download_trials import BODY, FILE, OTHER, PROVIDED, content, get, leftovers, sha256
from file_server import Reply

from satl.core.errors import UserError
from satl.download.http import RetryPolicy


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
