"""The facts that model.safetensors holds beside the weights; reads no tensor.

What they are says `satl.training.model_file.ModelFacts`.
"""

import json
from pathlib import Path
from typing import Any

KEY = "satl"  # of safetensors' metadata, whose values are text


def read_facts(path: Path) -> dict[str, Any]:
    """The facts of a model file; empty where there is no file, or another one."""
    from safetensors import SafetensorError, safe_open  # not at the top: the workflow lacks it

    try:
        with safe_open(path, framework="numpy") as file:
            return json.loads((file.metadata() or {})[KEY])
    except (OSError, SafetensorError, KeyError, json.JSONDecodeError):
        return {}
