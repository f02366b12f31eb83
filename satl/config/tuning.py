"""The section `tune` of the experiment file: a search, judged without the ground truth."""

import math
import random
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from satl.config.methods import OWN_TRAINING, MethodEntry
from satl.config.training import Training
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


# What a trial trains with: of OWN_TRAINING, and of the method's options.
Point = tuple[dict[str, float], dict[str, Any]]


class Tuning(Strict):
    """A search of all methods: at random, with as many trials for each, or over a grid."""

    trials: Annotated[int, Field(ge=1, le=999)] | Literal["grid"] = Field(
        description="random ones of each method, beside its options as given; grid: every "
        "other combination of the values listed"
    )
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

    @model_validator(mode="after")
    def _check(self) -> "Tuning":
        if self.trials == "grid":
            own = self._own()
            if not own and not any(self.options.values()):
                raise ValueError("trials: grid needs lists of values, and there are none")
            options = {
                f"options.{method}.{name}": values
                for method, ranges in self.options.items()
                for name, values in ranges.items()
            }
            for key, values in (own | options).items():
                if isinstance(values, Interval):
                    raise ValueError(f"{key}: trials: grid needs a list of values, not an interval")
        return self

    def _own(self) -> dict[str, Any]:
        """Those of OWN_TRAINING that are searched."""
        return {key: getattr(self, key) for key in OWN_TRAINING if getattr(self, key) is not None}

    def points(self, method: str) -> list[Point]:
        """What the trials of `method` train with, in their order."""
        own = self._own()
        options = dict(sorted(self.options.get(method, {}).items()))
        if self.trials == "grid":
            return _grid(own, options)
        streams = [
            random.Random(f"{self.seed} {method} {trial}") for trial in range(1, self.trials + 1)
        ]
        return [(_draw(own, stream), _draw(options, stream)) for stream in streams]


def _grid(own: dict[str, Any], options: dict[str, Any]) -> list[Point]:
    """Every combination of the values, which are lists; none where none are listed."""
    if not own and not options:
        return []
    return [
        (
            dict(zip(own, values[: len(own)], strict=True)),
            dict(zip(options, values[len(own) :], strict=True)),
        )
        for values in product(*own.values(), *options.values())
    ]


def _draw(ranges: dict[str, Interval | list[Any]], stream: random.Random) -> dict[str, Any]:
    return {
        key: stream.choice(values) if isinstance(values, list) else values.draw(stream)
        for key, values in ranges.items()
    }


def trial_name(method: str, trial: int) -> str:
    """What the `trial`-th of a method's trials is called, from 1."""
    return f"{method}{TRIAL}{trial:03d}"


def trials_of(
    tuning: Tuning, methods: dict[str, MethodEntry], training: Training
) -> dict[str, MethodEntry]:
    """The trials of all methods by name: satl-trial-001, …."""
    trials: dict[str, MethodEntry] = {}
    for method, entry in methods.items():
        points = [_trial(entry, *point) for point in tuning.points(method)]
        if tuning.trials == "grid":
            points = [point for point in points if not _same(point, entry, training)]
        trials |= {trial_name(method, trial): point for trial, point in enumerate(points, start=1)}
    return trials


def _same(trial: MethodEntry, given: MethodEntry, training: Training) -> bool:
    """Whether a trial is the method as given, which is a candidate anyway."""
    with_own = [training.with_own(entry.own_training) for entry in (trial, given)]
    return trial.options == given.options and with_own[0] == with_own[1]


def _trial(entry: MethodEntry, own: dict[str, float], options: dict[str, Any]) -> MethodEntry:
    return MethodEntry(
        method=entry.method,
        options={**entry.options, **options},
        **{**entry.own_training, **own},
    )
