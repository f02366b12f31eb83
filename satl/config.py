"""The experiment file (YAML), as a strict schema. Imports no torch: the workflow reads it too."""

import contextlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from satl.errors import UserError
from satl.explain import explain, suggestion
from satl.files import read_yaml
from satl.registry import METHODS

Fraction = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Strict(BaseModel):
    """Frozen, and an unknown key or a value of the wrong type is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class CocoSplit(Strict):
    """Where one split of a COCO-style data set lies."""

    images: str = Field(description="folder that holds the images")
    annotations: str = Field(description="instances_*.json of these images")
    expected_images: int | None = Field(None, ge=1, description="stop unless there are so many")


class CocoDataset(Strict):
    """Any data set in COCO's `instances_*.json` format."""

    format: Literal["coco"]
    train: CocoSplit
    test: CocoSplit
    unannotated: Literal["keep", "drop"] = Field(
        "keep", description="images without annotations: all-negative, or left out"
    )
    crowds: Literal["keep", "drop"] = Field(
        "keep", description="whether a crowd annotation makes its category present"
    )
    published: str | None = Field(None, description="CSV of published mAP, shown below the table")


class GlyphsDataset(Strict):
    """The embedded data set: scenes drawn from the DejaVu font, written in COCO's format."""

    format: Literal["glyphs"]
    train_images: int = Field(1000, ge=1)
    test_images: int = Field(500, ge=1)
    seed: int = Field(0, ge=0)
    unannotated: Literal["keep", "drop"] = "keep"
    crowds: Literal["keep", "drop"] = "keep"
    published: str | None = None


Dataset = Annotated[CocoDataset | GlyphsDataset, Field(discriminator="format")]
DATASETS = {"coco": CocoDataset, "glyphs": GlyphsDataset}


class Model(Strict):
    """The trunk that all methods share (methods: shared protocol, feature path)."""

    backbone: Literal["resnet101", "resnet50", "resnet18", "tiny"] = "resnet101"
    weights: str = Field(
        "imagenet",
        description="imagenet (torchvision), glyphs (a short pre-training on single glyphs), "
        "random, or the path of a state_dict",
    )
    feature_dim: int = Field(1024, ge=1, description="D, channels after the 1x1 convolution")
    attention_dim: int = Field(512, ge=1, description="width of the semantic attention")
    word_vectors: str | None = Field(
        None,
        description="text file of word vectors (GloVe format) for the category names; "
        "none: random vectors that depend on the name alone, without meaning",
    )

    @model_validator(mode="after")
    def _check_weights(self) -> "Model":
        known = ("imagenet", "glyphs", "random")
        if self.weights not in known and not set(self.weights) & set("./\\"):
            raise ValueError(
                f"weights {self.weights!r}{suggestion(self.weights, known)}: neither one of "
                f"{', '.join(known)} nor the path of a file"
            )
        if self.weights == "imagenet" and self.backbone == "tiny":
            raise ValueError("there are no ImageNet weights for backbone 'tiny'")
        return self


class Training(Strict):
    """Optimisation and images; the defaults are the published protocol of SST and SARB."""

    epochs: int = Field(20, ge=1)
    batch_size: int = Field(8, ge=2)
    learning_rate: float = Field(1e-5, gt=0)
    weight_decay: float = Field(5e-4, ge=0, description="L2 term of Adam")
    lr_step: int = Field(10, ge=1, description="epochs between two decays of the learning rate")
    lr_gamma: float = Field(0.1, gt=0, le=1)
    drop_last: bool = Field(True, description="leave out the last, incomplete training batch")
    resize: int = Field(512, ge=8, description="side of the square before the random crop")
    image_size: int = Field(448, ge=8, description="side of the square that the network sees")
    crop_scales: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        [1.0, 0.875, 0.75, 0.625, 0.5], min_length=1, description="crop sides, of `resize`"
    )
    flip: bool = Field(True, description="random horizontal flip")
    eval_batch_size: int = Field(64, ge=1)
    workers: int = Field(2, ge=0, description="processes that decode images (0: none)")
    cache_images: bool = Field(False, description="keep the decoded, resized images in memory")
    threads: int = Field(1, ge=1, description="CPU threads of a training job")


class Pretraining(Strict):
    """Supervised pre-training of the backbone on single glyphs (`model.weights: glyphs`)."""

    images: int = Field(5000, ge=1)
    image_size: int = Field(32, ge=16, description="side; a glyph then has its size in scenes")
    epochs: int = Field(6, ge=1)
    batch_size: int = Field(64, ge=2)
    learning_rate: float = Field(2e-3, gt=0)
    seed: int = Field(0, ge=0)
    threads: int = Field(2, ge=1, description="CPU threads")


class MethodEntry(Strict):
    """One line of `methods`: the method it is and the options that differ from its defaults."""

    method: str
    options: dict[str, Any]


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
    known_ratios: list[float] = Field(min_length=1)
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field([0], min_length=1)
    model: Model = Model()
    training: Training = Training()
    pretraining: Pretraining = Pretraining()
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto, cpu, cuda, cuda:N or mps",
    )

    @field_validator("methods", mode="before")
    @classmethod
    def _split_method_from_options(cls, methods: Any) -> Any:
        if not isinstance(methods, dict):
            raise ValueError("must be a mapping of names to options, e.g. `satl: {}`")
        return {name: method_entry(name, options) for name, options in methods.items()}

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

    @model_validator(mode="after")
    def _check_ablations(self) -> "Experiment":
        for title, names in self.ablations.items():
            for name in names:
                if name not in self.methods:
                    near = suggestion(name, self.methods)
                    raise ValueError(f"ablations.{title}: {name!r} is not in `methods`{near}")
            if len(set(names)) < len(names):
                raise ValueError(f"ablations.{title} names a method twice")
        tables = [name for dataset in self.datasets for name in self.tables(dataset)]
        for name in tables:
            if tables.count(name) > 1:
                raise ValueError(f"a data set and an ablation would share the table {name!r}")
        return self

    @model_validator(mode="after")
    def _check_sizes(self) -> "Experiment":
        if self.training.image_size > self.training.resize:
            raise ValueError(
                f"training.image_size ({self.training.image_size}) exceeds "
                f"training.resize ({self.training.resize})"
            )
        return self

    def tables(self, dataset: str) -> dict[str, list[str]]:
        """The tables of `dataset`: which of `methods` each shows, by the name of its files.

        The first is the main table; where it would be empty, it shows all.
        """
        moved = {name for names in self.ablations.values() for name in names}
        # A method under its own name stays, as what its variants are compared with.
        main = [n for n, entry in self.methods.items() if n not in moved or n == entry.method]
        tables = {f"{dataset}-{title}": names for title, names in self.ablations.items()}
        return {dataset: main or list(self.methods), **tables}

    def source(self) -> dict[str, Any]:
        """The experiment as its file would say it, with all defaults; `parse` reads it back."""
        plain = self.model_dump(mode="json")
        plain["methods"] = {
            name: {"method": entry.method, **entry.options} for name, entry in self.methods.items()
        }
        return plain


def method_entry(name: str, options: Any) -> dict[str, Any]:
    """Split `options` of the YAML into method and options; the method defaults to `name`."""
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
        "options": {k: _number(v) for k, v in options.items() if k != "method"},
    }


def _number(value: Any) -> Any:
    """YAML reads 1e-3 (without a point) as text; here it is the number that was meant."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def parse(content: Any, where: str) -> Experiment:
    """Check a parsed experiment file; `where` names it in errors (UserError)."""
    if not isinstance(content, dict):
        raise UserError(f"{where}: must hold a mapping, found {type(content).__name__}")
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{where} is not valid:\n{explain(error, Experiment, DATASETS)}") from error


def load(path: Path) -> Experiment:
    """Read and check an experiment file. Raises UserError."""
    return parse(read_yaml(path), str(path))


def read_options(schema: type[Strict], options: dict[str, Any], where: str) -> Any:
    """`options` checked against the hyperparameters `schema` of a method. Raises UserError."""
    try:
        return schema.model_validate(options)
    except ValidationError as error:
        raise UserError(f"{where}: not valid:\n{explain(error, schema, DATASETS)}") from error


def ratio_name(ratio: float) -> str:
    """How paths and tables write a known ratio: 0.1 -> '0.10'."""
    return f"{ratio:.2f}"
