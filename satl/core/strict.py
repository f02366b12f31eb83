"""What all parts of the experiment file share: strictness, and the form of names."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Strict(BaseModel):
    """Frozen, and an unknown key or a value of the wrong type is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
