"""The lines of `methods` in the experiment file."""

import contextlib
from typing import Any

from pydantic import Field

from satl.config.explain import suggestion
from satl.core.places import METHODS
from satl.core.strict import Strict

# What a method may have of its own, as a key beside its options, in place of `training`'s.
OWN_TRAINING = ("learning_rate", "weight_decay")


class MethodEntry(Strict):
    """One line of `methods`: the method it is and the options that differ from its defaults.

    Attributes:
        method: its name as a method.
        options: of the method.
        learning_rate, weight_decay: of its own, in place of those of `training`.
    """

    method: str
    options: dict[str, Any] = Field(default_factory=dict)
    learning_rate: float | None = Field(None, gt=0)
    weight_decay: float | None = Field(None, ge=0)

    @property
    def own_training(self) -> dict[str, float]:
        """Those of OWN_TRAINING that it has."""
        return {key: getattr(self, key) for key in OWN_TRAINING if getattr(self, key) is not None}

    @property
    def source(self) -> dict[str, Any]:
        """The line as the file would say it."""
        return {"method": self.method, **self.own_training, **self.options}


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
    numbers = {key: _number(value) for key, value in options.items() if key != "method"}
    own = {key: numbers.pop(key) for key in OWN_TRAINING if key in numbers}
    return {"method": method, **own, "options": numbers}


def _number(value: Any) -> Any:
    """YAML reads 1e-3 (without a point) as text; here it is the number that was meant."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value
