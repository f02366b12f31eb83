"""The section `tune`: which trials there are, what they train with, and which win."""

from itertools import product

import pandas as pd
import pytest
from fake_runs import experiment, write_runs

from satl.config import parse
from satl.core.errors import UserError
from satl.report import write_report
from satl.report.tables import result_tables
from satl.report.tuned import by_held_out, by_test, chosen_options, tuned_runs
from satl.runs.evaluated import evaluated_runs
from satl.runs.layout import run_keys, training_jobs

TUNE = {
    "trials": 3,
    "learning_rate": {"low": 1e-3, "high": 1e-1, "log": True},
    "options": {"satl": {"q": {"low": 0.8, "high": 0.99}, "warmup": [0.1, 0.2]}},
}


def tuned(**changes):
    settings = {
        "methods": {"partial_bce": {}, "satl": {}}, "known_ratios": [0.1, 0.5], "seeds": [0, 1],
        "validation": 0.1, "tune": TUNE,
    }  # fmt: skip
    return experiment(**settings | changes)


def test_every_method_has_as_many_trials_and_they_are_runs_of_the_jobs():
    config = tuned()
    assert len(config.trained) == 2 * (1 + 3)
    assert len(run_keys(config)) == 2 * 4 * 2 * 2
    in_jobs = [run for job in training_jobs(config) for run in job.runs]
    assert sorted(in_jobs) == sorted(run_keys(config))


def test_draws_lie_in_their_ranges_and_do_not_depend_on_other_methods():
    trials = tuned(tune=TUNE | {"trials": 40}).trials
    rates = [entry.learning_rate for entry in trials.values()]
    assert all(1e-3 <= rate <= 1e-1 for rate in rates)
    assert sum(rate < 1e-2 for rate in rates) > 20, "evenly by the logarithm"
    drawn = [entry.options for entry in trials.values() if entry.method == "satl"]
    assert all(0.8 <= options["q"] <= 0.99 for options in drawn)
    assert {options["warmup"] for options in drawn} == {0.1, 0.2}
    alone = tuned(methods={"satl": {}}).trials
    assert alone["satl-trial-002"] == trials["satl-trial-002"]
    assert trials["partial_bce-trial-001"].options == {}
    assert tuned(tune=TUNE | {"seed": 1}).trials != tuned().trials


def test_weight_decay_is_drawn_beside_the_rest():
    trials = tuned(tune=TUNE | {"weight_decay": [1e-4, 1e-2]}).trials
    assert {entry.weight_decay for entry in trials.values()} == {1e-4, 1e-2}
    rates = [entry.learning_rate for entry in trials.values()]
    assert rates == [entry.learning_rate for entry in tuned().trials.values()]


GRID = {
    "trials": "grid",
    "learning_rate": [1e-3, 1e-2],
    "weight_decay": [0.0, 1e-4, 1e-3],
    "options": {"satl": {"q": [0.8, 0.9]}},
}


def test_a_grid_has_every_combination_once():
    trials = tuned(tune=GRID).trials
    points = [
        (entry.method, entry.learning_rate, entry.weight_decay, entry.options.get("q"))
        for entry in trials.values()
    ]
    plain = list(product(["partial_bce"], [1e-3, 1e-2], [0.0, 1e-4, 1e-3], [None]))
    assert points == plain + list(product(["satl"], [1e-3, 1e-2], [0.0, 1e-4, 1e-3], [0.8, 0.9]))
    assert list(trials)[-1] == "satl-trial-012"
    alone = tuned(tune={"trials": "grid", "options": {"satl": {"q": [0.8, 0.9]}}}).trials
    assert [(entry.method, entry.options) for entry in alone.values()] == [
        ("satl", {"q": 0.8}), ("satl", {"q": 0.9}),
    ]  # fmt: skip


def test_a_grid_does_not_try_again_what_is_given():
    training = {"learning_rate": 1e-2, "weight_decay": 1e-4}
    given = {"partial_bce": {}, "satl": {"q": 0.9, "weight_decay": 0.0}}
    trials = tuned(tune=GRID, training=training, methods=given).trials
    points = [(entry.method, entry.learning_rate, entry.weight_decay) for entry in trials.values()]
    assert points.count(("partial_bce", 1e-2, 1e-4)) == 0
    assert points.count(("satl", 1e-2, 0.0)) == 1  # with q = 0.8
    assert len(trials) == (6 - 1) + (12 - 1)
    assert "satl-trial-011" in trials


def test_the_resolved_config_is_read_back_with_the_same_trials():
    own = {"learning_rate": 2e-3, "weight_decay": "1e-2", "q": 0.9}
    config = tuned(methods={"satl": own, "partial_bce": {}})
    again = parse(config.source(), "again")
    assert again.trials == config.trials
    changed = {"learning_rate": 2e-3, "weight_decay": 1e-2}
    assert config.training_of("satl") == config.training.model_copy(update=changed)
    assert config.training_of("partial_bce") == config.training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": 0}, "set validation"),
        ({"tune": TUNE | {"options": {"stal": {}}}}, "tune.options: 'stal' is not in `methods`"),
        (
            {"tune": TUNE | {"learning_rate": {"low": 1, "high": 0.1}}},
            r"low \(1\.?0?\) must be below",
        ),
        ({"tune": TUNE | {"learning_rate": {"low": 0, "high": 1, "log": True}}}, "low above 0"),
        (
            {"tune": GRID | {"weight_decay": {"low": 1e-4, "high": 1e-2}}},
            "weight_decay: trials: grid needs a list of values",
        ),
        (
            {"tune": GRID | {"options": {"satl": {"q": {"low": 0.8, "high": 0.9}}}}},
            "options.satl.q: trials: grid needs a list of values",
        ),
        ({"tune": {"trials": "grid"}}, "needs lists of values, and there are none"),
        ({"tune": TUNE | {"trials": "random"}}, r"tune.trials.*'grid'"),
        ({"methods": {"satl": {"learning_rate": -1}}, "tune": None}, "greater than 0"),
        ({"methods": {"satl": {"weight_decay": -1}}, "tune": None}, r"weight_decay: .*or equal"),
        (
            {"methods": {"satl": {}, "satl-trial-001": {"method": "partial_bce"}}},
            "satl-trial-001: a trial of `tune` has this name",
        ),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    with pytest.raises(UserError, match=message):
        tuned(**changes)


def test_the_held_out_labels_choose_and_the_test_set_stands_beside(tmp_path):
    config = tuned()
    write_runs(config, tmp_path)
    runs = evaluated_runs(config, tmp_path)
    candidates = [
        run for run in runs
        if config.tuned_method(run.key.method) == "satl"
        and (run.key.known_ratio, run.key.seed) == (0.5, 1)
    ]  # fmt: skip
    assert len(candidates) == 4
    lucky = candidates[2]  # best on the labels held out, worst on the test images
    lucky.metrics["epochs"][-1]["validation_mAP"] = 99.0
    lucky.metrics["epochs"][-1]["test_mAP"] = 1.0
    honest, oracle = (
        {run.key: run for run in tuned_runs(config, runs, criterion)}
        for criterion in (by_held_out, by_test)
    )
    assert len(honest) == len(oracle) == 2 * 2 * 2
    key = next(
        key for key in honest if key.method == "satl" and key.known_ratio == 0.5 and key.seed
    )
    assert honest[key].folder.path == lucky.folder.path
    assert oracle[key].folder.path != lucky.folder.path
    chosen = chosen_options(config, runs)
    assert len(chosen) == 16
    row = chosen[(chosen.method == "satl") & (chosen.seed == 1) & (chosen.chosen_by == "tuned")]
    assert lucky.key.method in set(row.run)
    assert f"q={config.trained[lucky.key.method].options['q']}" in " ".join(row.options)


def test_tuned_methods_have_a_table_and_figures_of_their_own(tmp_path):
    config = tuned()
    write_runs(config, tmp_path)
    write_report(config, tmp_path)
    main, own = result_tables(config, "glyphs", evaluated_runs(config, tmp_path))
    assert [block.name for block in main.blocks] == ["last", "best_on_validation", "best_on_test"]
    assert [block.name for block in own.blocks] == ["tuned", "given", "oracle"]
    for block in (*main.blocks, *own.blocks):
        assert [row.method for row in block.rows] == ["partial_bce", "satl"], "no trial"
    given, tuned_average = (own.blocks[i].rows[1].cells[-1].mean for i in (1, 0))
    assert given == pytest.approx(main.blocks[0].rows[1].cells[-1].mean)
    assert tuned_average > given, "here, held-out and test labels order the trials alike"
    assert any("3 random trials" in note for note in own.notes)
    assert (tmp_path / "figures" / "glyphs-tuned-map-by-known-ratio.png").is_file()
    assert not list((tmp_path / "figures").glob("*trial*"))
    options = pd.read_csv(tmp_path / "tables" / "tuned-options.csv")
    assert set(options.chosen_by) == {"tuned", "oracle"}


def test_candidates_are_averaged_over_what_they_were_trained_on(tmp_path):
    config = tuned(tune=GRID)
    write_runs(config, tmp_path)
    runs = evaluated_runs(config, tmp_path)
    write_report(config, tmp_path)
    table = pd.read_csv(tmp_path / "tables" / "tuned-candidates.csv").set_index("candidate")
    assert set(table.index) == set(config.trained)
    assert list(table.method) == ["partial_bce"] * 7 + ["satl"] * 13
    assert set(table.runs) == {2 * 2}
    of_it = [run for run in runs if run.key.method == "satl-trial-012"]
    last = table.loc["satl-trial-012"]
    assert (last.method, last.learning_rate, last.weight_decay) == ("satl", 1e-2, 1e-3)
    assert last.options == "q=0.9"
    for column, score in (("validation_mAP", by_held_out), ("test_mAP", by_test)):
        assert last[column] == pytest.approx(sum(map(score, of_it)) / len(of_it), abs=1e-4)
    own = result_tables(config, "glyphs", runs)[1]
    assert any("every combination listed" in note for note in own.notes)
