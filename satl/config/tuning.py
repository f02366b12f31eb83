"""The section `tune` of the experiment file: a random search, judged without the ground truth."""

import math
import random
from typing import Annotated, Any

from pydantic import Field, model_validator

from satl.config.methods import OWN_TRAINING, MethodEntry
from satl.core.strict import Name, Strict

TRIAL = "-trial-"


class Interval(Strict):
    """Numbers between two bounds; whole numbers where both bounds are."""

    low: int | float
    high: int | float
    log: bool = Field(False, description="draw the logarithm evenly, as fits a learning rate")

    @model_validator(mode="after")
    def _check(self) -> "Interval":
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs low above 0, not {self.low}")
        return self

    def draw(self, stream: random.Random) -> int | float:
        """One value, to four significant digits, so that configs stay readable."""
        if isinstance(self.low, int) and isinstance(self.high, int) and not self.log:
            return stream.randint(self.low, self.high)
        if self.log:
            value = math.exp(stream.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = stream.uniform(self.low, self.high)
        return float(f"{value:.4g}")


Range = Interval | Annotated[list[Any], Field(min_length=2, description="one of these values")]


class Tuning(Strict):
    """A random search of the same size for every method (docs/statistics.md)."""

    trials: int = Field(ge=1, le=999, description="of each method, beside its options as given")
    learning_rate: Range | None = Field(
        None, description="drawn for every method: {low, high, log}, or a list of values"
    )
    weight_decay: Range | None = Field(
        None, description="likewise drawn for every method, beside its options"
    )
    options: dict[Name, dict[str, Range]] = Field(
        {}, description="by the method's name in `methods`: its options that are drawn"
    )
    seed: int = Field(0, ge=0, description="of the draws")

    def draw(self, method: str, trial: int) -> tuple[dict[str, float], dict[str, Any]]:
        """What is drawn of OWN_TRAINING, and the options, of a trial of `method`."""
        stream = random.Random(f"{self.seed} {method} {trial}")
        ranges = {key: getattr(self, key) for key in OWN_TRAINING}
        own = {key: _draw(range_, stream) for key, range_ in ranges.items() if range_ is not None}
        options = self.options.get(method, {})
        return own, {name: _draw(options[name], stream) for name in sorted(options)}


def _draw(values: Interval | list[Any], stream: random.Random) -> Any:
    return stream.choice(values) if isinstance(values, list) else values.draw(stream)


def trial_name(method: str, trial: int) -> str:
    """What the `trial`-th of a method's trials is called, from 1."""
    return f"{method}{TRIAL}{trial:03d}"


def trials_of(tuning: Tuning, methods: dict[str, MethodEntry]) -> dict[str, MethodEntry]:
    """The trials of all methods by name: satl-trial-001, …."""
    return {
        trial_name(method, trial): _trial(entry, *tuning.draw(method, trial))
        for method, entry in methods.items()
        for trial in range(1, tuning.trials + 1)
    }


def _trial(entry: MethodEntry, own: dict[str, float], options: dict[str, Any]) -> MethodEntry:
    return MethodEntry(
        method=entry.method,
        options={**entry.options, **options},
        **{**entry.own_training, **own},
    )
