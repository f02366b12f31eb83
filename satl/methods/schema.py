"""The JSON schema of experiment files, made from the same classes that read them.

For editors, which complete keys from what `python -m satl schema` prints (`make schema`);
`satl check` checks files with the classes themselves.
"""

from typing import Any

from satl.config import Experiment
from satl.core.places import METHODS
from satl.methods.registry import method_class


def experiment_schema() -> dict[str, Any]:
    """The schema; `methods` maps any name to the options of the method it is."""
    schema = Experiment.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    definitions = schema["$defs"]
    definitions.pop("MethodEntry")
    for name in METHODS:
        options = method_class(name).Options.model_json_schema()
        definitions |= options.pop("$defs", {})
        options["type"] = ["object", "null"]
        options["properties"] = {"method": {"const": name}, **options.get("properties", {})}
        definitions[f"method {name}"] = options
    definitions["by method"] = {
        "allOf": [
            {
                "if": {"required": ["method"], "properties": {"method": {"const": name}}},
                "then": {"$ref": f"#/$defs/method {name}"},
            }
            for name in METHODS
        ]
    }
    schema["properties"]["methods"] = {
        "type": "object",
        "minProperties": 1,
        "properties": {name: _named(name) for name in METHODS},
        "additionalProperties": {"required": ["method"], "$ref": "#/$defs/by method"},
    }
    return schema


def _named(name: str) -> dict[str, Any]:
    """Options under a method's own name: of that method, unless `method:` says another."""
    return {
        "if": {"required": ["method"]},
        "then": {"$ref": "#/$defs/by method"},
        "else": {"$ref": f"#/$defs/method {name}"},
    }
