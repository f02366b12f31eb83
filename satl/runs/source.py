"""The modules of the source tree as tables of names: what each defines, imports and does."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from satl.core.places import ROOT

PACKAGES = ("satl", "baselines")

Used = tuple[str, str | None] | ast.Import | ast.ImportFrom


@dataclass(frozen=True)
class Definition:
    """A name in a module of the tree; None: all of the module."""

    module: str
    name: str | None


@dataclass
class Module:
    """One module: the statements behind each of its names.

    Attributes:
        name: dotted.
        package: that relative imports start from.
        definitions: functions, classes and assignments by name.
        imports: what names imported from the tree stand for.
        effects: names of statements that act on import (`*1`, `*2`, …): a decorator that
            registers, an entry into a table.
    """

    name: str
    package: str
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Definition] = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)

    def knows(self, name: str) -> bool:
        """Whether the module has such a name."""
        return name in self.definitions or name in self.imports

    def nodes(self, name: str | None) -> list[ast.stmt]:
        """The statements that define `name`; all definitions of the module for None."""
        if name is None:
            return [node for nodes in self.definitions.values() for node in nodes]
        return self.definitions.get(name, [])

    def imported(self, name: str | None) -> list[Definition]:
        """What `name` is imported from; for a package as a whole, what it passes on."""
        if name is None:
            return [] if self.definitions else list(self.imports.values())
        if name in self.imports:
            return [self.imports[name]]
        inner = f"{self.name}.{name}"
        return [] if name in self.definitions else [Definition(inner, None)]

    def resolve(self, used: Used) -> list[Definition]:
        """Where a name used in this module is defined; nowhere if it is another package's."""
        if isinstance(used, ast.Import | ast.ImportFrom):
            return [target for _, target in _imports(used, self.package) if target]
        name, attribute = used
        if name in self.definitions:
            return [Definition(self.name, name)]
        target = self.imports.get(name)
        if target is None:
            return []
        # `from satl import metrics` and `metrics.mean_ap`: of a module, its attribute.
        return [Definition(target.module, target.name or attribute)]


@cache
def read_module(name: str) -> Module | None:
    """The module `name` of the source tree; None where there is no such file."""
    path = source_file(name)
    if path is None:
        return None
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    module = Module(name, package)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        _enter(module, node)
    return module


def source_file(module: str) -> Path | None:
    """The file of a module of this project; None for another's."""
    if module.split(".")[0] not in PACKAGES:
        return None
    path = ROOT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _enter(module: Module, node: ast.stmt) -> None:
    """Enter one statement of the top level into the tables."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        module.imports |= {n: target for n, target in _imports(node, module.package) if target}
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        _define(module, node.name, node)
        if any(_is_ours(module, decorator) for decorator in node.decorator_list):
            module.effects.append(node.name)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            names = [n.id for n in ast.walk(target) if isinstance(n, ast.Name)]
            if names == ["__all__"]:
                continue
            if isinstance(target, ast.Name | ast.Tuple):
                for name in names:
                    _define(module, name, node)
            else:
                _effect(module, node)
    elif not _is_inert(node):
        _effect(module, node)


def _define(module: Module, name: str, node: ast.stmt) -> None:
    module.definitions.setdefault(name, []).append(node)


def _effect(module: Module, node: ast.stmt) -> None:
    name = f"*{len(module.effects) + 1}"
    _define(module, name, node)
    module.effects.append(name)


def _is_ours(module: Module, decorator: ast.expr) -> bool:
    """Whether a decorator is the project's own, and so may register what it decorates."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    root = called
    while isinstance(root, ast.Attribute):
        root = root.value
    return isinstance(root, ast.Name) and module.knows(root.id)


def _is_inert(node: ast.stmt) -> bool:
    """Docstrings, and imports for type checkers alone."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _imports(
    node: ast.Import | ast.ImportFrom, package: str
) -> Iterator[tuple[str, Definition | None]]:
    """Names that an import binds, and what they are; None: of another package."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            name = alias.name if alias.asname else alias.name.split(".")[0]
            yield alias.asname or name, Definition(name, None) if source_file(name) else None
        return
    base = node.module or ""
    if node.level:
        above = package.split(".")[: package.count(".") + 2 - node.level]
        base = ".".join([*above, base] if base else above)
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        if source_file(inner):
            yield alias.asname or alias.name, Definition(inner, None)
        else:
            ours = source_file(base) is not None
            yield alias.asname or alias.name, Definition(base, alias.name) if ours else None
