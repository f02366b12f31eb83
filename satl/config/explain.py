"""What is wrong with a YAML file, in words: pydantic's findings for people. Imports no torch."""

import difflib
from collections.abc import Iterable, Mapping
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError

# Sections by names that are the user's: the key that says what an entry is, and the classes.
Sections = Mapping[str, tuple[str, Mapping[str, type[BaseModel]]]]

# Dotted keys of earlier versions, and what they are called now.
RENAMED_KEYS = {"lanes": "runs_per_job"}


def explain(
    error: ValidationError,
    schema: type[BaseModel],
    sections: Sections,
    within: str = "",
) -> str:
    """One line per problem: the dotted key, what is wrong, and the nearest known key.

    Args:
        error: what pydantic found.
        schema: what it checked against.
        sections: those whose entries are of several classes.
        within: the dotted key of what was checked, where that is a section; its keys are listed.
    """
    lines = []
    for problem in error.errors():
        keys = [str(key) for key in _without_tag(problem["loc"], sections)]
        where = ".".join([within, *keys] if within else keys) or "the whole"
        if problem["type"] == "extra_forbidden":
            known = _known_keys(schema, problem["loc"][:-1], sections)
            all_known = f"; there are {', '.join(known) or 'none'}" if within else ""
            lines.append(f"  {where}: {_unknown(where, known)}{all_known}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            if problem["type"].startswith("union_tag"):
                message = _which_class(problem["ctx"].get("tag"), *sections[keys[0]])
            found = problem["input"]
            shown = "" if isinstance(found, dict | list) else f" (found {found!r})"
            lines.append(f"  {where}: {message[0].lower()}{message[1:]}{shown}")
    return "\n".join(lines)


def _which_class(tag: str | None, key: str, classes: Iterable[str]) -> str:
    if tag is None:
        return f"`{key}` is missing: one of {', '.join(classes)}"
    return f"unknown {key} {tag!r}{suggestion(tag, classes)}; the {key}s are {', '.join(classes)}"


def _unknown(key: str, known: Iterable[str]) -> str:
    if key in RENAMED_KEYS:
        return f"this key is now called {RENAMED_KEYS[key]!r}"
    return f"unknown key{suggestion(key.rpartition('.')[2], known)}"


def _without_tag(location: tuple[str | int, ...], sections: Sections) -> tuple[str | int, ...]:
    """pydantic's location less the class of a section's entry, which the file shows elsewhere."""
    return location[:2] + location[3:] if location and location[0] in sections else location


def _known_keys(
    schema: type[BaseModel],
    location: tuple[str | int, ...],
    sections: Sections,
) -> list[str]:
    """Keys that the mapping at `location` may have."""
    if location and location[0] in sections:
        schema = sections[str(location[0])][1][str(location[2])]
        location = location[3:]
    for key in location:
        if key in schema.model_fields:
            annotation = schema.model_fields[str(key)].annotation
            if get_origin(annotation) is dict:  # of sections, by names that are the user's
                annotation = get_args(annotation)[-1]
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                schema = annotation
    return list(schema.model_fields)


def suggestion(word: str, known: Iterable[str]) -> str:
    """' (did you mean …?)' where one of the `known` words is close, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
