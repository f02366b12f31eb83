"""A digest of the code that a result depends on, found in the source without importing it.

Snakemake does not notice an edit to code that a rule imports; rules therefore carry this digest
as a parameter, and run records keep it. It follows names, not files: from a root it reaches the
functions, classes and constants that are referred to, in whichever module they stand, and nothing
else in these modules. An edit to one loss reruns the methods that use it.

What is said and not computed is left out: comments, docstrings, annotations of functions, the
arguments of errors, what is printed, logged or shown by progress bars, and the declarations of
settings, whose values a fingerprint holds anyway. The digest is the same on every Python.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache

from satl.runs.source import Definition, Module, read_module
from satl.runs.syntax import canonical, names_used

# Names of these say and check things, or store them; no digit depends on them.
SAYING_ONLY = ("satl.core.errors", "satl.core.files", "satl.core.strict", "satl.config")


@cache
def code_digest(*roots: str, without: tuple[str, ...] = ()) -> str:
    """16 hex digits over all code that is reached from the roots.

    Args:
        roots: modules (`satl.evaluation.evaluate`), or names in them (`satl.losses:contrastive`).
        without: modules and packages that do not count, beside SAYING_ONLY.

    Raises:
        ValueError: a root does not exist.
    """
    parts = sorted(set(_reached(roots, SAYING_ONLY + without)))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _reached(roots: Iterable[str], excluded: tuple[str, ...]) -> Iterator[str]:
    """Module, name and canonical source of every definition reached."""
    pending = [_root(root) for root in roots]
    seen: set[Definition] = set()
    while pending:
        definition = pending.pop()
        if definition in seen or _is_in(definition.module, excluded):
            continue
        seen.add(definition)
        sources, used = _read(definition)
        yield from sources
        pending.extend(used)


@cache  # many roots reach the same definitions
def _read(definition: Definition) -> tuple[list[str], list[Definition]]:
    """What a definition says, in canonical form, and the definitions that it refers to."""
    module = read_module(definition.module)
    if module is None:
        return [], []
    nodes = list(module.nodes(definition.name))
    sources = [f"{definition.module}:{definition.name} {canonical(node)}" for node in nodes]
    used = [found for node in nodes for name in names_used(node) for found in module.resolve(name)]
    return sources, [*_effects(module), *used, *module.imported(definition.name)]


def forget() -> None:
    """Read the source anew from here on; for who edits it while this process runs."""
    for cached in (code_digest, _read, read_module):
        cached.cache_clear()


def _root(root: str) -> Definition:
    name, _, attribute = root.partition(":")
    module = read_module(name)
    if module is None or (attribute and not module.knows(attribute)):
        raise ValueError(f"{root}: no such module or name in the source tree")
    return Definition(name, attribute or None)


def _effects(module: Module) -> list[Definition]:
    """What a module does when it is imported, such as filling a table of rules."""
    return [Definition(module.name, name) for name in module.effects]


def _is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
