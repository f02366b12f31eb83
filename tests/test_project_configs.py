"""The configs in workflow/config: that they are valid, and which of them share a protocol."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from satl.config import load, read_options
from satl.methods.registry import method_class
from satl.methods.schema import experiment_schema

CONFIGS = Path(__file__).parents[1] / "workflow/config"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=str)
def test_they_are_valid(path):
    experiment = load(path)
    jsonschema.validate(
        yaml.safe_load(path.read_text()), experiment_schema(), jsonschema.Draft202012Validator
    )
    for name, entry in experiment.methods.items():
        read_options(method_class(entry.method).Options, entry.options, name)


def embedded(name):
    return load(CONFIGS / f"{name}.yaml")


@pytest.mark.parametrize(("name", "epochs"), [("ablation", 24), ("weight-decay", 48)])
def test_what_explains_the_long_run_has_its_protocol(name, epochs):
    """So that their numbers may be set side by side; length aside."""
    first, other = embedded("converged"), embedded(name)
    assert other.datasets == first.datasets
    assert other.model == first.model
    assert other.training.epochs == epochs
    same = {"epochs": first.training.epochs}
    assert other.training.model_copy(update=same) == first.training
    assert other.seeds == first.seeds


@pytest.mark.parametrize("name", ["all-methods", "tuned"])
def test_what_extends_the_quick_run_has_its_protocol(name):
    first, other = embedded("demo"), embedded(name)
    (pictures,), (others,) = first.datasets.values(), other.datasets.values()
    trained = others.train_images * (1 - (other.validation or 0))
    assert trained == pictures.train_images
    assert others.model_copy(update={"train_images": pictures.train_images}) == pictures
    assert other.model == first.model
    assert other.training.model_copy(update={"cached_strong_views": None}) == first.training
    assert other.seeds == first.seeds


def test_the_quick_run_differs_from_the_long_one_in_its_size_alone():
    quick, long = embedded("demo"), embedded("converged")
    assert quick.methods == long.methods
    assert quick.seeds == long.seeds
    (pictures,) = long.datasets.values()
    assert quick.datasets == {"glyphs": pictures.model_copy(update={"train_images": 500})}
    width = {"feature_dim": 48, "attention_dim": 16}
    assert quick.model == long.model.model_copy(update=width)
    length = {"epochs": 24, "eval_every": 4}
    assert quick.training == long.training.model_copy(update=length)
