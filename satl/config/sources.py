"""The section `sources` of the experiment file: where downloads come from, if not from where
the catalogue (satl/config/catalogue.py) says.
"""

from typing import Annotated

from pydantic import Field, model_validator

from satl.core.strict import Strict

Address = Annotated[str, Field(pattern=r"^https?://\S+$")]


class SourceOverride(Strict):
    """What one file of the catalogue is, or where it is, for this experiment."""

    urls: list[Address] | None = Field(
        None, min_length=1, description="addresses in the place of the catalogue's, tried in order"
    )
    path: str | None = Field(
        None,
        min_length=1,
        description="local file in the place of any address; it is used where it lies, never "
        "changed, and verified where a checksum is known",
    )
    md5: str | None = Field(None, pattern="^[0-9a-fA-F]{32}$", description="checksum of the file")
    sha256: str | None = Field(
        None, pattern="^[0-9a-fA-F]{8,64}$", description="checksum of the file, or its head"
    )
    bytes: int | None = Field(None, ge=0, description="size of the file")
    unchecked: bool = Field(
        False, description="take whatever file it is, without the catalogue's checks"
    )

    @property
    def has_checks(self) -> bool:
        """Whether it says itself what the file must be, in the place of the catalogue."""
        return (self.md5, self.sha256, self.bytes) != (None, None, None)

    @model_validator(mode="after")
    def _check_contradictions(self) -> "SourceOverride":
        if self.urls and self.path:
            raise ValueError("give `urls` or `path`, not both")
        if self.unchecked and self.has_checks:
            raise ValueError("`unchecked` contradicts md5, sha256 and bytes")
        return self
