"""A run as an MLflow model: loaded, and served on localhost as a user would."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from satl.cli import main
from satl.prediction.table import decided, probabilities
from satl.runs.folder import RunFolder
from satl.training.model_file import read_model

ROOT = Path(__file__).parents[2]


@pytest.fixture
def exported(kept, tmp_path):
    """The folder of the run, and that of its MLflow model."""
    run, out = kept(), tmp_path / "model"
    assert main(["export", str(run), "--format", "mlflow", "--out", str(out)]) == 0
    return run, out


def recorded(run):
    """Of each image, by category: scores, and what is present."""
    facts, logits = read_model(run).facts, RunFolder(run).predictions()["logits"][-1]
    names = np.array(facts.categories)
    present = [names[row].tolist() for row in decided(facts, logits)]
    return probabilities(logits), present


def agree(found, run):
    scores, present = recorded(run)
    assert [one["present"] for one in found] == present[: len(found)]
    values = np.array([[*one["scores"].values()] for one in found])
    assert np.allclose(values, scores[: len(found)], atol=1e-6)


@pytest.mark.slow
def test_it_gives_the_scores_of_the_record(exported, test_table):
    import mlflow

    run, out = exported
    images = [path.read_bytes() for path in test_table.paths()]
    found = mlflow.pyfunc.load_model(str(out)).predict(pd.DataFrame({"image": images}))
    assert len(found) == 12
    agree(found, run)


@pytest.mark.slow
def test_it_is_served_on_localhost(exported, test_table, tmp_path):
    """From another folder, where the source tree is not to be found."""
    run, out = exported
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    log = open(tmp_path / "log", "w")  # noqa: SIM115
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(out), "--env-manager",
         "local", "--host", "127.0.0.1", "--port", str(port)],
        cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", server, tmp_path / "log")
        address = f"http://127.0.0.1:{port}/invocations"
        images = [base64.b64encode(p.read_bytes()).decode() for p in test_table.paths()[:3]]
        agree(ask(address, images)["predictions"], run)
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, [base64.b64encode(b"no image").decode()])
        assert refused.value.code == 400
        assert "image 0: cannot be decoded" in refused.value.read().decode()
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
        log.close()


def wait_for(address, server, log):
    deadline = time.monotonic() + 120
    while True:
        assert server.poll() is None and time.monotonic() < deadline, log.read_text()
        try:
            return urllib.request.urlopen(address).close()
        except OSError:
            time.sleep(0.2)


def ask(address, images):
    body = {"dataframe_split": {"columns": ["image"], "data": [[image] for image in images]}}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_a_folder_that_exists_is_left_alone(kept, tmp_path, capsys):
    (tmp_path / "model").mkdir()
    arguments = ["export", str(kept()), "--format", "mlflow", "--out", str(tmp_path / "model")]
    assert main(arguments) == 2
    assert "model: exists already" in capsys.readouterr().err
