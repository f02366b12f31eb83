"""What a reader must know to read the numbers of a table, one sentence or two per note."""

from satl.config import Experiment, Shown, ratio_name
from satl.report.summary import summary_of
from satl.report.titles import runs_per_method
from satl.runs.evaluated import Run, has_truth

UNANNOTATED = {
    "keep": "Images without annotations are kept, as negative for every category.",
    "drop": "Images without annotations are left out.",
}


def what_is_shown(experiment: Experiment) -> str:
    """The metric, and what it is a mean over."""
    seeds = ", ".join(map(str, experiment.seeds))
    several = len(experiment.seeds) > 1
    over = f"mean ± standard deviation over the seeds {seeds}"
    return (
        "mAP: mean over the categories of the average precision on the test images, in per cent; "
        + (over if several else f"mean over seeds, here seed {seeds} alone")
        + "."
    )


def protocol_notes(experiment: Experiment) -> list[str]:
    """Where the protocol is another than that of papers, which train the last stage at least."""
    model, training = experiment.model, experiment.training
    notes = []
    if model.frozen == "all":
        notes.append(f"The whole backbone ({model.backbone}) is frozen: heads alone are trained.")
    if training.cached_views:
        notes.append(
            f"Each training image is shown in {training.cached_views} augmented views, whose "
            "feature maps are computed once."
        )
    return [" ".join(notes)] if notes else []


def selection_notes(experiment: Experiment) -> list[str]:
    """How each selection of an epoch is made."""
    notes = [
        "Best on test takes, of each run, the epoch with the highest mAP on the test images: "
        "an optimistic number, as the test set chooses."
    ]
    if experiment.validation:
        notes.append(
            "Best on held-out known labels takes, of each run, the epoch with the highest mAP on "
            f"the known labels of {100 * experiment.validation:.0f} % of the training images, "
            "which no method trains on: what somebody can do who has no other labels."
        )
    return notes


def tuning_notes(experiment: Experiment) -> list[str]:
    """How the options of tuned methods are chosen."""
    assert experiment.tune is not None
    trials = experiment.tune.trials
    searched = "every combination listed" if trials == "grid" else f"{trials} random trials"
    return [
        f"Tuned: of the options as given and {searched}, each method "
        "takes, for each known ratio and seed, those with the highest mAP at the last epoch on "
        f"the known labels of {100 * experiment.validation:.0f} % of the training images, which no "
        "method trains on. Tuned on test takes those that the ground truth of the test images "
        "would choose: what is lost by not having it. Which were chosen: tuned-options.csv."
    ]


def how_labels_are_known(experiment: Experiment, shown: Shown) -> list[str]:
    """How labels are known in the table of a setting, as its entry of `observe` says."""
    if shown.setting is None:
        return []
    options = experiment.observation(shown.setting).model_dump()
    kind = options.pop("kind")
    listed = ", ".join(f"{option} {value}" for option, value in options.items())
    return [f"Labels known: {shown.setting} ({kind}{f': {listed}' if listed else ''})."]


def what_is_judged(runs: list[Run]) -> list[str]:
    """Where labels have no ground truth: how many count, and what cannot be said."""
    notes = []
    for entries in [run.metrics["test_entries"] for run in runs if "test_entries" in run.metrics]:
        if entries["judged"] < entries["all"]:
            notes.append(
                f"Of {entries['all']:,} labels of the test images, {entries['judged']:,} are known "
                "and judged; the others count in no metric."
            )
    without = {ratio_name(run.key.known_ratio): None for run in runs if not has_truth(run)}
    if without:
        notes.append(
            f"No ground truth is behind the unknown training labels ({', '.join(without)}): how "
            "good pseudo-labels are cannot be said."
        )
    return list(dict.fromkeys(notes))


def what_is_missing(
    experiment: Experiment, dataset: str, shown: Shown, runs: list[Run]
) -> list[str]:
    """Images, categories and runs that do not count."""
    expected = len(shown.methods) * runs_per_method(experiment, shown)
    summary = summary_of(runs)
    missing = expected - int(summary.loc[summary["selection"] == "last", "mAP"].count())
    without = sorted({name for run in runs for name in run.metrics["categories_without_positives"]})
    notes = [UNANNOTATED[experiment.datasets[dataset].unannotated]]
    if without:
        notes.append(f"No positive test image, so left out of the mean: {', '.join(without)}.")
    if missing:
        several = len(shown.known) > 1
        incomplete = ", and no average is made of an incomplete row" if several else ""
        notes.append(
            f"{missing} of {expected} runs are missing (not evaluated, or without a mAP); "
            f"means are of the others{incomplete}."
        )
    return notes
