"""The experiment file (YAML), as a strict schema. Imports no torch: the workflow reads it too."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from satl.errors import UserError
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
    known_ratios: list[float] = Field(min_length=1)
    seeds: list[Annotated[int, Field(ge=0)]] = Field([0], min_length=1)
    model: Model = Model()
    training: Training = Training()
    pretraining: Pretraining = Pretraining()
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps")

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
    def _check_sizes(self) -> "Experiment":
        if self.training.image_size > self.training.resize:
            raise ValueError(
                f"training.image_size ({self.training.image_size}) exceeds "
                f"training.resize ({self.training.resize})"
            )
        return self

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
            f"unknown method {method!r}{_suggestion(str(method), METHODS)}; "
            f"the methods are {', '.join(METHODS)} (a variant says `method:` which one it is)"
        )
    return {"method": method, "options": {k: v for k, v in options.items() if k != "method"}}


def parse(content: Any, where: str) -> Experiment:
    """Check a parsed experiment file; `where` names it in errors (UserError)."""
    if not isinstance(content, dict):
        raise UserError(f"{where}: must hold a mapping, found {type(content).__name__}")
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{where} is not valid:\n{explain(error, Experiment)}") from error


def load(path: Path) -> Experiment:
    """Read and check an experiment file. Raises UserError."""
    return parse(read_yaml(path), str(path))


def read_options(schema: type[Strict], options: dict[str, Any], where: str) -> Any:
    """`options` checked against the hyperparameters `schema` of a method. Raises UserError."""
    try:
        return schema.model_validate(options)
    except ValidationError as error:
        raise UserError(f"{where}: not valid:\n{explain(error, schema)}") from error


def ratio_name(ratio: float) -> str:
    """How paths and tables write a known ratio: 0.1 -> '0.10'."""
    return f"{ratio:.2f}"


def explain(error: ValidationError, schema: type[BaseModel]) -> str:
    """One line a problem: the dotted key, what is wrong, and the nearest known key."""
    lines = []
    for problem in error.errors():
        keys = [str(key) for key in _without_tag(problem["loc"])]
        where = ".".join(keys) or "the whole"
        if problem["type"] == "extra_forbidden":
            known = _known_keys(schema, problem["loc"][:-1])
            lines.append(f"  {where}: unknown key{_suggestion(keys[-1], known)}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            found = problem["input"]
            shown = "" if isinstance(found, dict | list) else f" (found {found!r})"
            lines.append(f"  {where}: {message[0].lower()}{message[1:]}{shown}")
    return "\n".join(lines)


def _without_tag(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """pydantic's location less the tag of a dataset's format, which the file does not show."""
    return location[:2] + location[3:] if location[:1] == ("datasets",) else location


def _known_keys(schema: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """Keys that the mapping at `location` may have."""
    for key in location:
        if key in DATASETS and location[0] == "datasets":
            schema = DATASETS[str(key)]
        elif key in schema.model_fields:
            annotation = schema.model_fields[str(key)].annotation
            is_section = isinstance(annotation, type) and issubclass(annotation, BaseModel)
            schema = annotation if is_section else schema
    return list(schema.model_fields)


def _suggestion(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
