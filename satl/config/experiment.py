"""The experiment file as a whole: data sets, methods, known ratios, seeds, protocol."""

from collections.abc import Mapping
from functools import cached_property, reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, field_validator, model_validator

from satl.config.catalogue import CATALOGUE
from satl.config.explain import suggestion
from satl.config.input_size import with_input_size
from satl.config.known import Known, SettingName, observe_entries
from satl.config.methods import MethodEntry, method_entry
from satl.config.report import Report
from satl.config.shown import TUNED, Shown, check_distinct, tables_of
from satl.config.sources import SourceOverride
from satl.config.training import Model, Pretraining, Training
from satl.config.tuning import TRIAL, Tuning, trials_of
from satl.core.strict import Name, Strict
from satl.data.formats import FORMATS
from satl.data.formats.base import DataFormat
from satl.data.observe import KINDS
from satl.data.observe.base import Observation
from satl.data.observe.random import RandomObservation

if TYPE_CHECKING:
    Dataset = DataFormat
    Observed = Observation
else:
    # Whatever there are: the unions are built at run time, which no type checker follows.
    Dataset = Annotated[reduce(or_, FORMATS.values()), Field(discriminator="format")]
    Observed = Annotated[reduce(or_, KINDS.values()), Field(discriminator="kind")]

SECTIONS: Mapping[str, tuple[str, Mapping[str, type[BaseModel]]]] = {
    "datasets": ("format", FORMATS),
    "observe": ("kind", KINDS),
}


class Experiment(Strict):
    """A whole experiment file."""

    name: Name = Field(description="results go to results/NAME")
    datasets: dict[Name, Dataset] = Field(min_length=1)
    methods: dict[Name, MethodEntry] = Field(min_length=1)
    ablations: dict[Name, Annotated[list[Name], Field(min_length=1)]] = Field(
        {},
        description="tables of their own, by name: which of `methods` each shows, in this order. "
        "The main table then shows, of these, only methods under their own name, not variants",
    )
    known_ratios: list[float] = Field(
        [], description="shares of labels that are known, at random, as in the published splits"
    )
    observe: dict[SettingName, Observed] = Field(
        {},
        description="other ways in which labels are known, by name (docs/data.md): a table of "
        "its own each",
    )
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(
        [0], min_length=1, description="of the trainings; error bars need several"
    )
    mask_seed: int = Field(
        0, ge=0, lt=2**32, description="of the masks that hide labels; 0 as published"
    )
    validation: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="share of the training images that is held out of training; their known "
        "labels alone then choose an epoch (best_on_validation), as somebody could who has no "
        "others; 0: none, as published",
    )
    model: Model = Model()
    training: Training = Training()
    pretraining: Pretraining = Pretraining()
    tune: Tuning | None = Field(
        None, description="search the options of all methods, by known labels held out"
    )
    report: Report = Report()
    runs_per_job: int = Field(
        1,
        ge=1,
        description="runs that one training job trains side by side, sharing images and frozen "
        "stages: the same results in less time, with more memory",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto, cpu, cuda, cuda:N or mps",
    )
    runs_per_device: int = Field(
        1, ge=1, description="local training jobs that may share a GPU at a time"
    )
    data_folder: str = Field("data", min_length=1, description="where downloads are kept")
    keep_archives: bool = Field(False, description="keep downloaded archives once unpacked")
    sources: dict[str, SourceOverride] = Field(
        {}, description="other places or checks of downloads, by their names in `satl download`"
    )

    @model_validator(mode="before")
    @classmethod
    def _own_input_size(cls, content: Any) -> Any:
        return with_input_size(content)

    @field_validator("methods", mode="before")
    @classmethod
    def _split_method_from_options(cls, methods: Any) -> Any:
        if not isinstance(methods, dict):
            raise ValueError("must be a mapping of names to options, e.g. `satl: {}`")
        return {name: method_entry(name, options) for name, options in methods.items()}

    @field_validator("observe", mode="before")
    @classmethod
    def _kind_defaults_to_name(cls, settings: Any) -> Any:
        return observe_entries(settings)

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: list[int]) -> list[int]:
        for seed in seeds:
            if seeds.count(seed) > 1:
                raise ValueError(f"{seeds} names seed {seed} twice; each seed is one run")
        return seeds

    @field_validator("known_ratios")
    @classmethod
    def _check_ratios(cls, ratios: list[float]) -> list[float]:
        for ratio in ratios:
            if not 0 < ratio <= 1:
                raise ValueError(f"{ratio} is outside (0, 1]")
            if abs(ratio * 100 - round(ratio * 100)) > 1e-9:
                raise ValueError(f"{ratio} has more than two decimals, which folders cannot show")
        if len(set(ratios)) < len(ratios):
            raise ValueError(f"{ratios} names a ratio twice")
        return ratios

    @field_validator("sources")
    @classmethod
    def _check_sources(cls, sources: dict[str, SourceOverride]) -> dict[str, SourceOverride]:
        for name in sources:
            if name not in CATALOGUE:
                raise ValueError(
                    f"unknown source {name!r}{suggestion(name, CATALOGUE)}; "
                    f"the sources are {', '.join(CATALOGUE)}"
                )
        return sources

    @model_validator(mode="after")
    def _check_ablations(self) -> "Experiment":
        for title, names in self.ablations.items():
            for name in names:
                if name not in self.methods:
                    near = suggestion(name, self.methods)
                    raise ValueError(f"ablations.{title}: {name!r} is not in `methods`{near}")
            if len(set(names)) < len(names):
                raise ValueError(f"ablations.{title} names a method twice")
            if title == TUNED and self.tune:
                raise ValueError("ablations.tuned: the table of `tune` has this name")
        return self

    @model_validator(mode="after")
    def _check_something_is_known(self) -> "Experiment":
        for dataset in self.datasets:
            if not self.known(dataset):
                raise ValueError("give `known_ratios`, `observe` or both: which labels are known")
        for name, entry in self.observe.items():
            if self.validation and not entry.keeps_shares:
                raise ValueError(
                    f"observe.{name}: counts labels per category, of which the few images held "
                    "out would show nearly all; leave `validation` out, or this entry"
                )
            for dataset, section in self.datasets.items():
                if entry.needs_objects and not (section.has_boxes or section.observe):
                    raise ValueError(
                        f"observe.{name}: depends on boxes of objects, which format "
                        f"{section.format} of {dataset!r} does not have; leave this entry out, or "
                        "put the data set into an experiment of its own"
                    )
        if "average" in self.observe:
            raise ValueError("observe.average: the average over known ratios has this name")
        check_distinct([name for dataset in self.datasets for name in self.tables(dataset)])
        return self

    @model_validator(mode="after")
    def _check_reference(self) -> "Experiment":
        name = self.report.reference
        if name is not None and name not in self.methods:
            near = suggestion(name, self.methods)
            raise ValueError(f"report.reference: {name!r} is not in `methods`{near}")
        return self

    @model_validator(mode="after")
    def _check_tuning(self) -> "Experiment":
        if self.tune is None:
            return self
        if not self.validation:
            raise ValueError(
                "tune: needs images held out, whose known labels choose; set validation: 0.1"
            )
        for name in self.tune.options:
            if name not in self.methods:
                near = suggestion(name, self.methods)
                raise ValueError(f"tune.options: {name!r} is not in `methods`{near}")
        for name in self.methods:
            if name in self.trials:
                raise ValueError(f"methods.{name}: a trial of `tune` has this name")
        return self

    @model_validator(mode="after")
    def _check_kept_weights(self) -> "Experiment":
        if self.training.keep_weights == "best_on_validation" and not self.validation:
            raise ValueError(
                "training.keep_weights: best_on_validation needs images held out, whose known "
                "labels choose; set validation: 0.1, or keep_weights: last"
            )
        return self

    @model_validator(mode="after")
    def _check_sizes(self) -> "Experiment":
        if self.training.image_size > self.training.resize:
            raise ValueError(
                f"training.image_size ({self.training.image_size}) exceeds "
                f"training.resize ({self.training.resize})"
            )
        return self

    @cached_property
    def trials(self) -> dict[str, MethodEntry]:
        """The trials of `tune`; none without it."""
        return trials_of(self.tune, self.methods, self.training) if self.tune else {}

    @property
    def trained(self) -> dict[str, MethodEntry]:
        """All that has runs: `methods` as given, then their trials."""
        return {**self.methods, **self.trials}

    def tuned_method(self, name: str) -> str:
        """The one of `methods` that `name`, one of `trained`, is or is a trial of."""
        return name if name in self.methods else name.rpartition(TRIAL)[0]

    def training_of(self, name: str) -> Training:
        """The protocol of one of `trained`, with what the method has of its own."""
        return self.training.with_own(self.trained[name].own_training)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of a data set: training, held-out (where there is one) and test images."""
        return ("train", "validation", "test") if self.validation else ("train", "test")

    def known(self, dataset: str) -> list[Known]:
        """What the runs on a data set differ in beside method and seed, in config order."""
        if self.datasets[dataset].observe:
            return [self.datasets[dataset].observe]
        return [*self.known_ratios, *self.observe]

    def observation(self, known: Known) -> Observation:
        """What decides which labels are known, its seed filled in; `known` is one of `known`."""
        if not isinstance(known, str):
            return RandomObservation(known_ratio=known, seed=self.mask_seed)
        entry = self.observe.get(known) or KINDS[known].model_validate({})
        return entry.with_seed(self.mask_seed)

    def tables(self, dataset: str) -> dict[str, Shown]:
        """The tables of `dataset`, by the name of their files; the first is the main table.

        Of the methods that ablations name, the main tables show those under their own name, as
        what variants are compared with. Where nothing would be left, they show all.
        """
        moved = {name for names in self.ablations.values() for name in names}
        main = [n for n, entry in self.methods.items() if n not in moved or n == entry.method]
        tuned = {TUNED: list(self.methods)} if self.tune else {}
        groups = {"": main or list(self.methods), **self.ablations, **tuned}
        return tables_of(dataset, self.known(dataset), groups)

    def source(self) -> dict[str, Any]:
        """The experiment as its file would say it, with all defaults; `parse` reads it back."""
        plain = self.model_dump(mode="json")
        plain["methods"] = {name: entry.source for name, entry in self.methods.items()}
        return plain
