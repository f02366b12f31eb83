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


OWN = ("learning_rate", "weight_decay")


def without_own(training):
    """The protocol, but for what a method may have of its own."""
    return training.model_dump(exclude={*OWN, "cached_strong_views"})


@pytest.mark.parametrize("name", ["all-methods", "tuned", "rates", "ablation"])
def test_what_extends_the_quick_run_has_its_protocol(name):
    """So that their numbers may be set side by side; learning rates and weight decays aside."""
    first, other = embedded("demo"), embedded(name)
    (pictures,), (others,) = first.datasets.values(), other.datasets.values()
    trained = others.train_images * (1 - (other.validation or 0))
    assert trained == pictures.train_images
    assert others.model_copy(update={"train_images": pictures.train_images}) == pictures
    assert other.model == first.model
    assert without_own(other.training) == without_own(first.training)
    assert other.seeds == first.seeds


def own(experiment, method):
    return tuple(getattr(experiment.training_of(method), key) for key in OWN)


def test_methods_of_the_quick_run_have_rates_among_which_known_labels_chose():
    first, rates = embedded("demo"), embedded("rates")
    assert rates.methods.keys() == first.methods.keys()
    for method in first.methods:
        tried = {own(rates, n) for n in rates.trained if rates.tuned_method(n) == method}
        assert len(tried) == 8
        assert own(first, method) in tried


def test_what_takes_satl_apart_has_its_rates_of_the_quick_run():
    first, other = embedded("demo"), embedded("ablation")
    for method in first.methods.keys() & other.methods.keys():
        assert own(other, method) == own(first, method)
