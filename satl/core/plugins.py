"""Classes found by their place: each file of a package defines one, which bears the file's name."""

import inspect
import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import TypeVar, get_args

from pydantic import BaseModel

Section = TypeVar("Section", bound=BaseModel)


def sections_by_name(
    package: str, path: Iterable[str], base: type[Section], tag: str
) -> dict[str, type[Section]]:
    """The subclass of `base` that each module of a package defines, by the name of the module.

    Args:
        package, path: `__name__` and `__path__` of the package; its module `base` is left out.
        base: a section of the experiment file.
        tag: its field that names the class in the file, a Literal of the module's name.

    Raises:
        TypeError: a module does not define exactly one such class.
    """
    return {
        module.name: _section(f"{package}.{module.name}", base, tag)
        for module in pkgutil.iter_modules(path)
        if module.name != "base"
    }


def _section(module_name: str, base: type[Section], tag: str) -> type[Section]:
    module = import_module(module_name)
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module_name
        and not inspect.isabstract(value)
    ]
    name = module_name.rpartition(".")[2]
    if len(found) != 1 or get_args(found[0].model_fields[tag].annotation) != (name,):
        raise TypeError(
            f"{module.__file__} must define one {base.__name__} with `{tag}: Literal[{name!r}]`"
        )
    return found[0]
