"""The section `report` of the experiment file: how results are compared."""

from typing import Literal

from pydantic import Field

from satl.core.strict import Strict, setting


class Report(Strict):
    """What tables and figures say of differences between methods (docs/statistics.md)."""

    reference: str | None = setting(
        None,
        affects="presentation",
        description="which of `methods` the others are compared with; none: the first of a table",
    )
    resamples: int = Field(
        1000, ge=100, le=100_000, description="of the test images, by the bootstrap"
    )
    keep_scores: Literal["selected", "all"] = setting(
        "selected",
        affects="presentation",
        description="the scores of which epochs stay in a run folder: those of the selected ones "
        "(last, best), or of all, which takes many times the space (`satl estimate` says how much)",
    )
