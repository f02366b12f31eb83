"""How large an experiment is, told from its config before anything is downloaded."""

import json
from dataclasses import dataclass
from pathlib import Path

from satl.config import CocoDataset, CocoSplit, Dataset, Experiment, VgDataset
from satl.core.errors import UserError
from satl.core.files import existing
from satl.runs.layout import run_keys

ASSUMED_CATEGORIES = 80  # COCO's, where no annotation file can be read yet
# Compressed pseudo-labels; logits do not compress.
BYTES_PER_PSEUDO_LABEL = 0.1


@dataclass(frozen=True)
class DatasetSize:
    """Images of each part, categories, and what is not certain about them."""

    train: int
    test: int
    categories: int
    note: str = ""


def dataset_sizes(experiment: Experiment) -> dict[str, DatasetSize]:
    """By data set; from annotation files that are there, else from `expected_images`.

    Raises:
        UserError: there is neither.
    """
    return {name: _size(name, dataset) for name, dataset in experiment.datasets.items()}


def _size(name: str, dataset: Dataset) -> DatasetSize:
    if isinstance(dataset, CocoDataset):
        train, categories = _coco_split(f"{name}.train", dataset.train)
        test, _ = _coco_split(f"{name}.test", dataset.test)
        note = "" if categories else f"{ASSUMED_CATEGORIES} categories assumed"
        return DatasetSize(train, test, categories or ASSUMED_CATEGORIES, note)
    if isinstance(dataset, VgDataset):
        train = _vg_list(f"{name}.expected_images.train", dataset, "train")
        return DatasetSize(
            train, _vg_list(f"{name}.expected_images.test", dataset, "test"), dataset.categories
        )
    from satl.data.glyphs.catalogue import CATEGORIES

    return DatasetSize(dataset.train_images, dataset.test_images, len(CATEGORIES))


def _coco_split(where: str, split: CocoSplit) -> tuple[int, int | None]:
    path = Path(split.annotations)
    if path.is_file():
        try:
            content = json.loads(existing(path).read_text(encoding="utf-8"))
            return len(content["images"]), len(content["categories"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a COCO annotation file ({error})") from error
    return _expected(f"{where}.expected_images", split.expected_images, path), None


def _vg_list(where: str, dataset: VgDataset, part: str) -> int:
    path = Path(getattr(dataset, f"{part}_list"))
    if path.is_file():
        return sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())
    return _expected(where, getattr(dataset.expected_images, part), path)


def _expected(where: str, count: int | None, path: Path) -> int:
    if count is None:
        raise UserError(f"{path} is not there yet: give datasets.{where}, so that it can be told")
    return count


def pixel_bytes(experiment: Experiment, size: DatasetSize) -> int:
    """Of the decoded images that `image_cache: disk` keeps."""
    training = experiment.training
    if training.image_cache != "disk":
        return 0
    return 3 * (size.train * training.resize**2 + size.test * training.image_size**2)


def run_bytes(experiment: Experiment, size: DatasetSize) -> int:
    """Of one run folder: logits of every epoch's test images, pseudo-labels, training logits."""
    epochs, categories = experiment.training.epochs, size.categories
    predictions = 4 * epochs * size.test * categories
    training = size.train * categories * (4 + BYTES_PER_PSEUDO_LABEL * epochs)
    return round(predictions + training)


def all_run_bytes(experiment: Experiment, sizes: dict[str, DatasetSize]) -> int:
    """Of all run folders."""
    return sum(run_bytes(experiment, sizes[key.dataset]) for key in run_keys(experiment))
