"""The JSON schema of experiment files, made from the same classes that read them.

For editors, which complete keys from what `python -m satl schema` prints (`make schema`);
`satl check` checks files with the classes themselves.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from satl.config import Experiment
from satl.config.methods import OWN_TRAINING
from satl.core.places import METHODS
from satl.data.observe import KINDS
from satl.methods.registry import method_class


def experiment_schema() -> dict[str, Any]:
    """The schema; `methods` and `observe` map any name to the options of what it is."""
    schema = Experiment.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    definitions = schema["$defs"]
    entry = definitions.pop("MethodEntry")["properties"]
    own = {key: entry[key] for key in OWN_TRAINING}
    options = {name: method_class(name).Options for name in METHODS}
    schema["properties"]["methods"] = _by_name(definitions, "method", options, own) | {
        "minProperties": 1
    }
    observe = schema["properties"]["observe"]
    entries = _by_name(definitions, "kind", KINDS) | {"description": observe["description"]}
    schema["properties"]["observe"] = {"anyOf": [entries, {"enum": list(KINDS)}]}
    return schema


def _by_name(
    definitions: dict[str, Any],
    tag: str,
    classes: Mapping[str, type[BaseModel]],
    beside: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """A mapping of any name to the options of one of `classes`.

    `tag` is the key that says which one; it may be left out under the class's own name. `beside`
    are properties that stand beside the options.
    """
    for name, options in classes.items():
        properties = {tag: {"const": name}, **beside}
        definitions[f"{tag} {name}"] = _options(definitions, options, properties)
    definitions[f"by {tag}"] = {
        "allOf": [
            {
                "if": {"required": [tag], "properties": {tag: {"const": name}}},
                "then": {"$ref": f"#/$defs/{tag} {name}"},
            }
            for name in classes
        ]
    }
    return {
        "type": "object",
        "properties": {name: _named(tag, name) for name in classes},
        "additionalProperties": {"required": [tag], "$ref": f"#/$defs/by {tag}"},
    }


def _options(
    definitions: dict[str, Any], options: type[BaseModel], beside: Mapping[str, Any]
) -> dict[str, Any]:
    schema = options.model_json_schema()
    definitions |= schema.pop("$defs", {})
    schema["type"] = ["object", "null"]
    schema["properties"] = {**schema.get("properties", {}), **beside}
    return schema


def _named(tag: str, name: str) -> dict[str, Any]:
    """Options under a class's own name: of that class, unless the tag says another."""
    return {
        "if": {"required": [tag]},
        "then": {"$ref": f"#/$defs/by {tag}"},
        "else": {"$ref": f"#/$defs/{tag} {name}"},
    }
