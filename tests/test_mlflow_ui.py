"""What a person sees first in MLflow's own UI, in a real browser."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from urllib.error import URLError

import pytest
from browser import CHROMIUM, browser
from mlflow import MlflowClient

from satl.report import write_report
from satl.tracking.mlflow import links, track
from tests.fake_runs import experiment, write_runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
CONFIG = experiment(
    methods={"satl": {}, "partial_bce": {}}, known_ratios=[0.1, 0.5, 0.9], seeds=[0, 1]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two methods at three known ratios with two seeds, reported and tracked."""
    folder = tmp_path_factory.mktemp("results")
    write_runs(CONFIG, folder / "fake")
    write_report(CONFIG, folder / "fake")
    track(CONFIG, folder / "fake")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    """The address of `mlflow ui`."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "ui", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
    ]  # fmt: skip
    with open(folder / "ui.log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://localhost:{port}"
        for _ in range(240):
            assert process.poll() is None, (folder / "ui.log").read_text()
            with suppress(URLError, OSError):
                urllib.request.urlopen(f"{address}/health", timeout=5)
                break
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page


SEEN = "document.body.innerText.includes({!r})"


def test_the_curves_of_all_methods_are_behind_one_link(page, server, folder, tmp_path):
    page.visit(links(folder, server)["fake/glyphs"]["mAP by known ratio"])
    for method in CONFIG.methods:
        page.wait_for(SEEN.format(f"{method} (mAP)"), seconds=60)  # the legend
    page.wait_for("document.querySelectorAll('.scatterlayer .lines').length >= 2")
    ticks = page.ask("[...document.querySelectorAll('.xtick')].map(tick => tick.textContent)")
    assert {"20", "80"} <= set(ticks)  # per cent of the labels
    page.screenshot(tmp_path / "curves.png")


def test_the_table_shows_the_map_of_tens_of_rows_best_first(page, server, folder, tmp_path):
    page.visit(links(folder, server)["fake/glyphs"]["runs by mAP"])
    page.wait_for(SEEN.format("matching runs"), seconds=60)
    page.wait_for("document.querySelectorAll('[col-id$=\"`mAP_average`\"]').length > 4", seconds=60)
    shown = page.ask(
        "[...document.querySelectorAll('.ag-cell[col-id$=\"`mAP_average`\"]')]"
        ".map(cell => parseFloat(cell.textContent))"
    )
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    parents = client.search_runs(["1"], "tags.kind = 'parent'")
    logged = sorted((run.data.metrics["mAP_average"] for run in parents), reverse=True)
    assert shown == pytest.approx(logged) and len(shown) == 4  # not the twelve runs
    assert page.ask(SEEN.format("4 matching runs"))
    # The description: links and the result table.
    assert page.ask(SEEN.format("mAP by known ratio")) and page.ask(SEEN.format("partial_bce"))
    page.screenshot(tmp_path / "table.png")


def test_the_first_view_lists_methods_with_data_set_and_source(page, server, tmp_path):
    page.visit(f"{server}/#/experiments/1/runs")
    page.wait_for(SEEN.format("satl seed-1"), seconds=60)
    for text in ("report", "glyphs (00000000)", "satl.py", "partial_bce.py"):
        assert page.ask(SEEN.format(text)), text
    assert not page.ask(SEEN.format("known-0.10"))  # the children are folded
    page.screenshot(tmp_path / "runs.png")


def test_figures_and_page_are_shown_by_the_report_run(page, server, folder, tmp_path):
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    report = client.search_runs(["1"], "tags.kind = 'report'")[0].info.run_id
    artifacts = f"{server}/#/experiments/1/runs/{report}/artifacts"
    page.visit(f"{artifacts}/figures/glyphs-map-by-known-ratio.png")
    page.wait_for(
        "[...document.images].some(image => image.src && image.naturalWidth > 500)", seconds=60
    )
    page.screenshot(tmp_path / "figure.png")
    page.visit(f"{artifacts}/index.html")
    page.wait_for("document.querySelectorAll('iframe').length > 0", seconds=60)
    page.screenshot(tmp_path / "page.png")
