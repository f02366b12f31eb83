"""The base of all sections of the experiment file, and how a setting is declared."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Strict(BaseModel):
    """Frozen, and an unknown key or a value of the wrong type is an error that names it."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def setting(
    default: Any = ..., *, affects: Literal["results", "speed", "presentation"], **field: Any
) -> Any:
    """A pydantic `Field` that says what it affects; a plain `Field` affects results.

    Args:
        default: as of `Field`.
        affects: settings of speed and presentation change no number: a result stays valid when
            they are changed.
        **field: as of `Field`.
    """
    return Field(default, json_schema_extra={"affects": affects}, **field)


def result_affecting(section: BaseModel) -> dict[str, Any]:
    """The section as JSON-like values, nested sections too, without what changes no number."""
    values = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("affects", "results") != "results":
            del values[name]
        elif isinstance(inner := getattr(section, name), BaseModel):
            values[name] = result_affecting(inner)
    return values
