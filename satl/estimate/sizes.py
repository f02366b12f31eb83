"""How large an experiment is, estimated from its config before anything is downloaded."""

from satl.config import Experiment, Training
from satl.core.errors import UserError
from satl.data.formats.base import DatasetSize
from satl.runs.layout import run_keys, training_jobs

# Compressed pseudo-labels; logits do not compress.
BYTES_PER_PSEUDO_LABEL = 0.1


def dataset_sizes(experiment: Experiment) -> dict[str, DatasetSize]:
    """By data set; from what is there already, else from the counts that the config expects.

    Raises:
        UserError: there is neither.
    """
    sizes = {}
    for name, dataset in experiment.datasets.items():
        try:
            sizes[name] = dataset.size()
        except UserError as error:
            raise UserError(f"datasets.{name}: {error}") from error
    return sizes


def pixel_bytes(experiment: Experiment, size: DatasetSize) -> int:
    """Of the decoded images that `image_cache: disk` keeps."""
    training = experiment.training
    if training.image_cache != "disk":
        return 0
    return 3 * (size.train * training.resize**2 + size.test * training.image_size**2)


def feature_bytes(experiment: Experiment, size: DatasetSize, values: int) -> int:
    """Of the float16 feature maps, of `values` each, that `cached_views` keeps."""
    views = views_per_image(experiment.training)
    return 2 * values * (views * size.train + size.test) if views else 0


def views_per_image(training: Training) -> int:
    """Of which feature maps are cached, ordinary and strong ones; 0 without `cached_views`."""
    return (training.cached_views or 0) + (training.cached_strong_views or 0)


def trained_bytes(experiment: Experiment, size: DatasetSize) -> int:
    """Of one run until it is evaluated: scores of its epochs, and the last training logits."""
    logits = 4 * size.train * size.categories
    training = experiment.training
    return logits + _scores_bytes(experiment, size, training.evaluations, training.epochs)


def run_bytes(experiment: Experiment, size: DatasetSize) -> int:
    """Of one run folder in the end: the scores of its selected epochs, which all may differ."""
    if experiment.report.keep_scores == "all":
        return trained_bytes(experiment, size)
    selections = 3 if experiment.validation else 2
    kept = min(selections, experiment.training.evaluations)
    return _scores_bytes(experiment, size, kept, kept)


def _scores_bytes(experiment: Experiment, size: DatasetSize, evaluations: int, epochs: int) -> int:
    """Logits of the images that are predicted in `evaluations`; pseudo-labels of `epochs`."""
    held_out = round((experiment.validation or 0) * size.train)
    logits = evaluations * 4 * (size.test + held_out)
    pseudo_labels = epochs * BYTES_PER_PSEUDO_LABEL * (size.train - held_out)
    return round(size.categories * (logits + pseudo_labels))


def all_run_bytes(experiment: Experiment, sizes: dict[str, DatasetSize]) -> int:
    """Of all run folders in the end."""
    return sum(run_bytes(experiment, sizes[key.dataset]) for key in run_keys(experiment))


def largest_job_bytes(experiment: Experiment, sizes: dict[str, DatasetSize]) -> int:
    """Of the runs of the largest training job until they are evaluated."""
    return max(
        sum(trained_bytes(experiment, sizes[run.dataset]) for run in job.runs)
        for job in training_jobs(experiment)
    )
