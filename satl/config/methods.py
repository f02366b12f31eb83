"""The lines of `methods` in the experiment file."""

import contextlib
from typing import Any

from pydantic import Field

from satl.config.explain import suggestion
from satl.core.places import METHODS
from satl.core.strict import Strict


class MethodEntry(Strict):
    """One line of `methods`: the method it is and the options that differ from its defaults.

    Attributes:
        method: its name as a method.
        options: of the method.
        learning_rate: of its own, in place of `training.learning_rate`.
    """

    method: str
    options: dict[str, Any] = Field(default_factory=dict)
    learning_rate: float | None = Field(None, gt=0)

    @property
    def source(self) -> dict[str, Any]:
        """The line as the file would say it."""
        rate = {} if self.learning_rate is None else {"learning_rate": self.learning_rate}
        return {"method": self.method, **rate, **self.options}


def method_entry(name: str, options: Any) -> dict[str, Any]:
    """Split `options` of the YAML into the fields of MethodEntry; the method defaults to `name`."""
    options = {} if options is None else options
    if not isinstance(options, dict):
        raise ValueError(f"{name}: must be a mapping of options, found {options!r}")
    method = options.get("method", name)
    if method not in METHODS:
        raise ValueError(
            f"unknown method {method!r}{suggestion(str(method), METHODS)}; "
            f"the methods are {', '.join(METHODS)} (a variant says `method:` which one it is)"
        )
    return {
        "method": method,
        "learning_rate": _number(options.get("learning_rate")),
        "options": {
            k: _number(v) for k, v in options.items() if k not in ("method", "learning_rate")
        },
    }


def _number(value: Any) -> Any:
    """YAML reads 1e-3 (without a point) as text; here it is the number that was meant."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value
