"""Waiting for a training, as the workflow's follower does before it imports MLflow."""

import os
import socket

import pytest

from satl.runs import trainings
from satl.runs.trainings import wait_for_training

HERE = f"process {os.getpid()} on {socket.gethostname()}\n"
DEAD = f"process 999999999 on {socket.gethostname()}\n"


@pytest.fixture
def locks(tmp_path):
    """Of a workflow, and of a training of its experiment."""
    found = [tmp_path / ".lock", tmp_path / "trained/d/satl/known-0.50/seed-0/1/checkpoint/.lock"]
    found[1].parent.mkdir(parents=True)
    return found


@pytest.fixture(autouse=True)
def slept(monkeypatch):
    """What happens while it waits: nothing may."""
    monkeypatch.setattr(trainings.time, "sleep", lambda _: pytest.fail("it waits"))


def test_a_training_is_seen_while_the_workflow_is_at_work(tmp_path, locks):
    for lock in locks:
        lock.write_text(HERE)
    assert wait_for_training(tmp_path)


@pytest.mark.parametrize("note", ["", DEAD])
def test_without_a_workflow_there_is_nothing_to_wait_for(tmp_path, locks, note):
    locks[0].write_text(note)
    locks[1].write_text(HERE)
    assert not wait_for_training(tmp_path)


def test_it_waits_for_the_first_training_or_for_the_end(tmp_path, locks, monkeypatch):
    workflow, training = locks
    workflow.write_text(HERE)
    training.write_text(DEAD)
    monkeypatch.setattr(trainings.time, "sleep", lambda _: training.write_text(HERE))
    assert wait_for_training(tmp_path)
    training.write_text(DEAD)
    monkeypatch.setattr(trainings.time, "sleep", lambda _: workflow.write_text(DEAD))
    assert not wait_for_training(tmp_path)
