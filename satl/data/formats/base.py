"""What a data format is: a section of the experiment file that can read what it names.

A format is one file in this folder with one subclass of `DataFormat`; docs/extending.md shows
one. Configs are also read where there is neither torch nor NumPy, so import those in methods.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import Field

from satl.core.errors import UserError
from satl.core.strict import Strict, result_affecting, setting

if TYPE_CHECKING:
    from satl.data.table import LabelTable

Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = ("train", "test")

ExpectedImages = Annotated[
    int | None, Field(ge=1, description="expected number of images; any other number is an error")
]


@dataclass(frozen=True)
class DatasetSize:
    """Images of each part, categories, and what is not certain about them."""

    train: int
    test: int
    categories: int
    note: str = ""


class DataFormat(Strict, ABC):
    """One data set of the experiment file; subclasses add the settings of their format.

    `format` is a Literal of the file's name. Settings count as affecting results unless they are
    declared with `satl.core.strict.setting(affects=…)`.
    """

    # Read after the tables are made.
    NOT_FOR_TABLES: ClassVar[frozenset[str]] = frozenset({"unreadable", "observe"})

    # Whether annotations have boxes, from which masks can know sizes and places of objects.
    has_boxes: ClassVar[bool] = False

    format: str
    unannotated: Literal["keep", "drop"] = Field(
        "keep", description="images of no category: kept, all labels negative, or left out"
    )
    unreadable: Literal["stop", "drop"] = Field(
        "stop",
        description="images that cannot be decoded: stop and name them, or leave them out (which "
        "labels are known then differs from the published partial labels)",
    )
    observe: Literal["as_is"] | None = Field(
        None,
        description="as_is: the labels are partial as they are, and trained on as such, in the "
        "place of `known_ratios` and `observe` of the experiment",
    )
    published: str | None = setting(
        None, affects="presentation", description="CSV of published mAP, shown below the table"
    )

    @abstractmethod
    def inputs(self, part: Part) -> list[str]:
        """The configured files and folders that `read(part)` needs.

        Those that the suite can download are downloaded first; a table is made again after one
        of the files has changed.
        """

    @abstractmethod
    def read(self, part: Part, prepared: Path | None = None) -> "LabelTable":
        """The label table of one part, with all of its images, annotated or not.

        Args:
            part: train or test.
            prepared: the folder that `prepare` has written, if the format prepares anything.

        Raises:
            UserError: a file is missing or malformed.
        """

    @abstractmethod
    def size(self) -> DatasetSize:
        """How large the data set is, told before anything is downloaded.

        Raises:
            UserError: it cannot be told yet; the message names the key that would tell.
        """

    @property
    def may_be_partial(self) -> bool:
        """Whether `read` may give unknown labels (0), before any are masked."""
        return False

    def prepare_inputs(self) -> list[str]:
        """The configured files and folders that `prepare` needs."""
        return []

    def prepare(self, folder: Path) -> dict[str, Any]:
        """Write to `folder`, whole or not at all, what both parts need before they are read.

        Override it where there is such a thing; it runs once per data set.

        Returns:
            JSON-like facts for the log.
        """
        raise UserError(f"data sets of format {self.format} need no preparation")

    def table(self, part: Part, prepared: Path | None = None) -> "LabelTable":
        """What `read` gives, less the images of no category if `unannotated` says drop.

        Raises:
            UserError: as `read`, or no image is left.
        """
        table = self.read(part, prepared)
        return table if self.unannotated == "keep" else table.annotated()

    @classmethod
    def prepares(cls) -> bool:
        """Whether data sets of this format are prepared before they are read."""
        return cls.prepare is not DataFormat.prepare

    def table_settings(self) -> dict[str, Any]:
        """All settings that the label tables depend on, as JSON-like values."""
        settings = result_affecting(self)
        return {key: value for key, value in settings.items() if key not in self.NOT_FOR_TABLES}


SplitT = TypeVar("SplitT", bound=Strict)


class SplitFormat(DataFormat, Generic[SplitT]):
    """A data set whose training and test images are described by sections of the same keys."""

    train: SplitT = Field(description="training images")
    test: SplitT = Field(description="test images")

    def split(self, part: Part) -> SplitT:
        """The section of one part."""
        return self.train if part == "train" else self.test


def expected_count(count: int | None, key: str, path: str) -> int:
    """`count`, the number of images that `key` says the missing file at `path` will have.

    Raises:
        UserError: `key` says nothing.
    """
    if count is None:
        raise UserError(
            f"{path} does not exist yet: set {key} to estimate sizes before the data is downloaded"
        )
    return count


def check_expected(found: int, expected: int | None, source: Path) -> None:
    """Raise UserError unless `source` has as many images as `expected_images` says."""
    if expected is not None and found != expected:
        raise UserError(
            f"{source}: {found} images, but expected_images says {expected}; "
            "is the file complete, and of the right year and split?"
        )
