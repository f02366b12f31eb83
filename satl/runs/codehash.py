"""Which source files a module depends on, and a hash of them, without importing anything.

Snakemake does not notice an edit to code that a rule imports. Rules carry this hash as a
parameter, so that an edit to one baseline reruns the runs of that baseline and no others.
"""

import ast
import copy
import hashlib
import re
from functools import cache
from pathlib import Path

from satl.core.registry import METHODS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("satl", "baselines")
# What these say reaches a run through its parameters, or (the version) not at all. Without
# them a new line in the registry would rerun every method.
NOT_COUNTED = re.compile(r"satl|satl\.core\.registry|satl\.config(\..*)?")


@cache
def code_hash(*modules: str) -> str:
    """16 hex digits over the code of `modules` and all of the project that they import.

    Comments, docstrings and layout do not count: they cannot change a result.
    """
    reached: set[str] = set()
    pending = list(modules)
    while pending:
        name = pending.pop()
        if name not in reached and not NOT_COUNTED.fullmatch(name):
            reached.add(name)
            pending.extend(_imports(name))
    state = hashlib.sha256()
    for name in sorted(reached):
        state.update(f"{name}\n{_meaning(name)}\n".encode())
    return state.hexdigest()[:16]


def training_code(method: str) -> str:
    """Hash of the code that a run of a registered method depends on."""
    return code_hash("satl.training.engine", METHODS[method].partition(":")[0])


def _source(module: str) -> Path | None:
    """The file of a module of this project; None for a foreign module or a mere name in one."""
    path = ROOT.joinpath(*module.split("."))
    if module.split(".")[0] not in PACKAGES:
        return None
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


@cache
def _tree(module: str) -> ast.Module:
    source = _source(module)
    if source is None:
        raise ValueError(f"{module}: no such module in {', '.join(PACKAGES)}")
    return ast.parse(source.read_text(encoding="utf-8"))


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Modules of this project that `module` imports anywhere, its packages included."""
    names = {module.rpartition(".")[0]}
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(sorted(name for name in names if name and _source(name)))


@cache
def _meaning(module: str) -> str:
    tree = copy.deepcopy(_tree(module))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            del body[0]
    return ast.dump(tree)


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
