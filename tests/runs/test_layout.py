"""How an experiment's runs are shared out among training jobs."""

import pytest

from satl.config import parse
from satl.runs.layout import run_keys, training_jobs

NAMES = ("satl", "sst", "sarb", "hst", "dsrb")


def experiment(runs_per_job, ratios, methods=5, seeds=(0,)):
    return parse(
        {
            "name": "x", "datasets": {"a": {"format": "glyphs"}, "b": {"format": "glyphs"}},
            "methods": {name: {} for name in NAMES[:methods]}, "known_ratios": ratios,
            "seeds": list(seeds), "runs_per_job": runs_per_job,
        },
        "x.yaml",
    )  # fmt: skip


RATIOS = [i / 10 for i in range(1, 10)]


@pytest.mark.parametrize(
    ("runs_per_job", "sizes"),
    [(1, [1] * 45), (4, [3, 3, 3] * 5), (9, [9] * 5), (20, [9, 18, 18]), (99, [45])],
)
def test_jobs_are_of_even_size_and_hold_whole_methods_where_they_fit(runs_per_job, sizes):
    jobs = training_jobs(experiment(runs_per_job, RATIOS))
    assert sorted(len(job.runs) for job in jobs) == sorted(sizes * 2)
    if runs_per_job >= 9:
        for job in jobs:
            assert all(sum(r.method == m for r in job.runs) in (0, 9) for m in NAMES)


@pytest.mark.parametrize("runs_per_job", [1, 2, 4, 7, 30])
@pytest.mark.parametrize("ratios", [[0.5], [0.1, 0.5, 0.9], RATIOS])
def test_every_run_is_in_one_job(runs_per_job, ratios):
    config = experiment(runs_per_job, ratios, seeds=(0, 3))
    jobs = training_jobs(config)
    runs = [run for job in jobs for run in job.runs]
    assert sorted(runs) == sorted(run_keys(config))
    assert all(len({(r.dataset, r.seed) for r in job.runs}) == 1 for job in jobs)
    assert len({job.folder("results/x") for job in jobs}) == len(jobs)


def test_settings_have_runs_beside_those_of_known_ratios():
    settings = {"single_positive": {}, "few": {"kind": "random", "known_ratio": 0.05}}
    content = experiment(4, [0.1, 0.5]).source() | {"observe": settings}
    content["datasets"]["b"]["observe"] = "as_is"
    config = parse(content, "x.yaml")
    jobs = training_jobs(config)
    assert sorted(map(str, (run for job in jobs for run in job.runs))) == sorted(
        map(str, run_keys(config))
    )
    folders = [str(key.folder("r")) for key in run_keys(config) if key.method == "sst"]
    assert folders == [
        "r/runs/a/sst/known-0.10/seed-0", "r/runs/a/sst/known-0.50/seed-0",
        "r/runs/a/sst/known-single_positive/seed-0", "r/runs/a/sst/known-few/seed-0",
        "r/runs/b/sst/known-as_is/seed-0",
    ]  # fmt: skip
