"""Reading experiment files, and options of methods, with errors that name what is wrong."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from satl.config.experiment import SECTIONS, Experiment
from satl.config.explain import explain
from satl.core.errors import UserError
from satl.core.files import read_yaml
from satl.core.strict import Strict


def parse(content: Any, where: str) -> Experiment:
    """Check a parsed experiment file; `where` names it in errors (UserError)."""
    if not isinstance(content, dict):
        raise UserError(f"{where}: must hold a mapping, found {type(content).__name__}")
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{where} is not valid:\n{explain(error, Experiment, SECTIONS)}") from error


def load(path: Path) -> Experiment:
    """Read and check an experiment file. Raises UserError."""
    return parse(read_yaml(path), str(path))


def read_options(schema: type[Strict], options: dict[str, Any], where: str) -> Any:
    """`options` checked against the hyperparameters `schema` of a method.

    Raises:
        UserError: a line per problem; keys begin with `where`, e.g. `methods.satl`.
    """
    try:
        return schema.model_validate(options)
    except ValidationError as error:
        raise UserError(explain(error, schema, {}, within=where)) from error
