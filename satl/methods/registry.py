"""The classes of methods, found by their place, and their options. No other module knows them."""

import inspect
from importlib import import_module

from satl.config import Experiment, MethodEntry, Training, read_options
from satl.core.errors import UserError
from satl.core.places import METHODS, method_module
from satl.methods.base import Hyperparameters, Method

Checked = tuple[type[Method], Hyperparameters]


def method_class(name: str) -> type[Method]:
    """The one class in a method's file that can be used as a method.

    Args:
        name: as in a config, one of `satl.core.places.METHODS`.

    Raises:
        UserError: the file defines no such class, or several.
    """
    module = import_module(method_module(name))
    found = {
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    }
    if len(found) != 1:
        names = ", ".join(sorted(kind.__name__ for kind in found)) or "none"
        raise UserError(
            f"{METHODS[name]}: a method's file must define exactly one class that derives from "
            f"`Method` and has all of its abstract methods; found {names}"
        )
    return found.pop()


def checked_method(variant: str, entry: MethodEntry) -> Checked:
    """Class and options (defaults filled in) of one line of `methods`. Raises UserError."""
    kind = method_class(entry.method)
    return kind, read_options(kind.Options, entry.options, f"methods.{variant}")


def checked_methods(experiment: Experiment) -> dict[str, Checked]:
    """Class and options of each variant.

    Raises:
        UserError: bad options; it names all that are bad, of all variants.
    """
    checked, problems = {}, []
    for variant, entry in experiment.trained.items():
        try:
            checked[variant] = checked_method(variant, entry)
        except UserError as error:
            problems.append(str(error))
    problems += _lacking_views(experiment.training, checked)
    if problems:
        raise UserError("\n".join(problems))
    return checked


def _lacking_views(training: Training, checked: dict[str, Checked]) -> list[str]:
    """What to say of methods that need cached strong views, where there are to be none."""
    if not training.cached_views or training.cached_strong_views:
        return []
    return [
        f"methods.{variant} compares an image with its strongly augmented view, but "
        "training.cached_views is set without training.cached_strong_views: set that too (as many "
        "as cached_views, say), or set cached_views to null"
        for variant, (kind, options) in checked.items()
        if kind.wants_strong_view(options)
    ]
