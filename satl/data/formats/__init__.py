"""The data formats, found by their place: each file of this folder defines one.

Importing this imports neither torch nor NumPy: the workflow reads configs without them.
"""

import pkgutil
from importlib import import_module
from typing import get_args

from satl.data.formats.base import DataFormat


def _format_class(module_name: str) -> type[DataFormat]:
    """The one format that a module defines, which bears the name of its file."""
    module = import_module(module_name)
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, DataFormat)
        and value.__module__ == module_name
    ]
    name = module_name.rpartition(".")[2]
    if len(found) != 1 or get_args(found[0].model_fields["format"].annotation) != (name,):
        raise TypeError(
            f"{module.__file__} must define one DataFormat with `format: Literal[{name!r}]`"
        )
    return found[0]


FORMATS: dict[str, type[DataFormat]] = {
    module.name: _format_class(f"{__name__}.{module.name}")
    for module in pkgutil.iter_modules(__path__)
    if module.name != "base"
}
"""The class of each format, by the name that configs give as `format`."""
