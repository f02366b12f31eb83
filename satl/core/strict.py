"""What all parts of the experiment file share: strictness, names, and what a setting affects."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Affects = Literal["results", "speed", "presentation", "files"]


class Strict(BaseModel):
    """Frozen; an unknown key or a value of the wrong type is an error that names it.

    So is a number that is not finite: no setting means anything then.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )


def setting(default: Any = ..., *, affects: Affects = "results", **field_options: Any) -> Any:
    """`pydantic.Field` that also says what the setting can change.

    Args:
        default: the value where the file gives none; without one, the key is required.
        affects: results (any number), speed (only how long it takes), presentation (only how
            results are shown) or files (only what is kept beside the results). Fields made by
            `pydantic.Field` count as results.
        field_options: options of `pydantic.Field`, such as `description` or `ge`.
    """
    return Field(default, json_schema_extra={"affects": affects}, **field_options)


def result_affecting(section: BaseModel) -> dict[str, Any]:
    """The section as JSON-like values, without the settings that cannot change a result.

    Sections inside it, also in lists and mappings, are reduced in the same way.
    """
    return {
        name: _reduced(getattr(section, name))
        for name, field in type(section).model_fields.items()
        if _affects(field) == "results"
    }


def _affects(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("affects", "results")) if isinstance(extra, dict) else "results"


def _reduced(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return result_affecting(value)
    if isinstance(value, dict):
        return {str(key): _reduced(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_reduced(item) for item in value]
    return to_jsonable_python(value)
