"""What an evaluation keeps of a run's scores, and that a run can be evaluated again from it."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from trials import spec

from satl.core.errors import UserError
from satl.data.splits import split
from satl.evaluation import evaluate as module
from satl.evaluation.evaluate import evaluate
from satl.runs.folder import EVALUATION_FILES, RunFolder
from satl.training.engine import train

RESAMPLES = 10


@pytest.fixture
def shared(shared):
    """More epochs than there are selections."""
    return replace(shared, training=shared.training.model_copy(update={"epochs": 5}))


@pytest.fixture
def run(shared, observed, tmp_path):
    """A trained run: what the store holds, and the folder that points to it."""
    train(shared, [spec(observed, tmp_path / "run", "curriculum_labeling")])
    return tmp_path / "run"


@pytest.fixture
def judge(observed, train_table, test_table):
    def judge(folder, out, test=test_table, **options):
        evaluate(folder, observed, train_table, test, out, RESAMPLES, **options)

    return judge


def contents(folder):
    return {name: (folder / name).read_bytes() for name in EVALUATION_FILES}


def test_selected_epochs_stay_exact_and_the_others_leave_their_values(run, judge, tmp_path):
    whole, training = RunFolder(run).predictions(), RunFolder(run).training_scores()
    judge(run, tmp_path / "out")
    metrics, kept = RunFolder(tmp_path / "out").metrics(), RunFolder(tmp_path / "out")
    selected = {choice["epoch"] for choice in metrics["selections"].values()}
    predictions, scores = kept.predictions(), kept.training_scores()
    assert predictions["epochs"].tolist() == scores["epochs"].tolist() == sorted(selected)
    rows = [epoch - 1 for epoch in sorted(selected)]
    assert np.array_equal(predictions["logits"], whole["logits"][rows])
    assert np.array_equal(scores["pseudo_labels"], training["pseudo_labels"][rows])
    assert "logits" not in scores
    course = [line["test_mAP"] for line in metrics["epochs"]]
    assert course == pytest.approx(100 * predictions["every_epoch_test"], abs=1e-6)
    assert len(course) == len(whole["logits"]) > len(rows)


def test_nowhere_are_the_scores_of_all_epochs_left(run, judge, shared, tmp_path):
    before = RunFolder(run).predictions()["logits"].nbytes
    judge(run, tmp_path / "out")
    found = [np.load(file)["logits"].nbytes for file in tmp_path.rglob("predictions.npz")]
    assert len(found) == 3, "in the store, in the training job's folder, in the run folder"
    assert max(found) < before
    in_store = next(shared.store.rglob("predictions.npz"))
    assert in_store.samefile(tmp_path / "out/predictions.npz")
    assert in_store.samefile(run / "predictions.npz")


def test_a_run_folder_needs_no_store(run, judge, shared, tmp_path):
    shutil.rmtree(shared.store)
    judge(run, run)
    assert len(RunFolder(run).predictions()["epochs"]) < shared.training.epochs


def test_another_training_of_the_same_name_takes_nothing_away(run, judge, shared, observed):
    """The store keeps one training of each name: the second takes the first one's place there."""
    second = run.with_name("second")
    train(shared, [spec(observed, second, "curriculum_labeling", threshold=1.0)])
    assert len(list(shared.store.rglob("predictions.npz"))) == 1
    before = RunFolder(second).predictions()["logits"]
    judge(run, run)
    assert len(RunFolder(run).predictions()["epochs"]) < shared.training.epochs
    assert np.array_equal(RunFolder(second).predictions()["logits"], before)


def test_evaluated_again_it_is_the_same(run, judge, tmp_path):
    judge(run, tmp_path / "first")
    for folder in (run, tmp_path / "first"):
        judge(folder, tmp_path / "second")
        assert contents(tmp_path / "second") == contents(tmp_path / "first")


def test_what_all_epochs_give_is_what_selected_ones_give(run, judge, tmp_path):
    judge(run, tmp_path / "all", keep="all")
    assert "judged_by" not in RunFolder(tmp_path / "all").predictions()
    judge(run, tmp_path / "selected")
    assert contents(tmp_path / "selected") == contents(tmp_path / "all")


@pytest.mark.parametrize("step", ["link_files", "histogram_table", "resampled_map", "write_json"])
def test_an_evaluation_that_was_cut_short_is_made_good(run, judge, tmp_path, monkeypatch, step):
    judge(run, tmp_path / "undisturbed", keep="all")
    with monkeypatch.context() as cut:
        cut.delattr(module, step)
        with pytest.raises(NameError):
            judge(run, tmp_path / "out")
    judge(run, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


def test_other_labels_could_have_selected_other_epochs(run, judge, test_table, tmp_path):
    corrected = replace(test_table, labels=-test_table.labels)
    judge(run, tmp_path / "all", keep="all")
    judge(run, tmp_path / "out", test=corrected)
    message = r"run/predictions\.npz: .* selected with other labels .* remove .*run and .*trained/"
    with pytest.raises(UserError, match=message):
        judge(run, tmp_path / "out")


def test_held_out_scores_are_kept_of_the_same_epochs(
    shared, observed, train_table, judge, tmp_path
):
    held_out = split(train_table, 0.3)
    both = replace(shared, validation=held_out.without_labels())
    train(both, [spec(observed, tmp_path / "run")])
    whole = RunFolder(tmp_path / "run").predictions()["validation_logits"]
    judge(tmp_path / "run", tmp_path / "out", validation=held_out)
    kept = RunFolder(tmp_path / "out").predictions()
    assert len(kept["epochs"]) < len(whole)
    assert np.array_equal(kept["validation_logits"], whole[kept["epochs"] - 1])
