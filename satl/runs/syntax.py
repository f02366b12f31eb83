"""Python syntax as text that depends on meaning alone, equal under every version of Python."""

import ast
from collections.abc import Iterator

# Calls whose arguments are words for people.
_TELLING = {"print", "write", "info", "warning", "debug", "error", "warn", "exception"}
_SPOKEN_KEYWORDS = {"desc", "unit", "description"}
_DECLARING = {"Field", "setting"}


def canonical(node: ast.AST) -> str:
    """`node` as text, without docstrings, messages, function annotations and places.

    Built field by field instead of by `ast.dump`, whose format differs between versions, and
    without empty fields, which newer versions add.
    """
    shown = _without_words(node)
    if shown is None:
        return ""
    parts = []
    for name, value in _fields(shown):
        text = _text(value)
        if text:
            parts.append(f"{name}={text}")
    return f"{type(shown).__name__}({','.join(parts)})"


def _text(value: object) -> str:
    if isinstance(value, ast.AST):
        return canonical(value)
    if isinstance(value, list):
        items = [text for item in value if (text := _text(item))]
        return f"[{','.join(items)}]" if items else ""
    return "" if value is None else repr(value)


def _fields(node: ast.AST) -> Iterator[tuple[str, object]]:
    for name, value in ast.iter_fields(node):
        if name in {"ctx", "type_comment", "kind"}:
            continue
        if name in {"annotation", "returns"} and isinstance(node, ast.arg | _FUNCTIONS):
            continue
        if name == "body" and isinstance(value, list) and value and is_docstring(value[0]):
            value = value[1:]
        yield name, value


_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def _without_words(node: ast.AST) -> ast.AST | None:
    """`node` less what is only told to people; None where nothing is left."""
    if isinstance(node, ast.Raise):
        return ast.Raise(exc=_callee(node.exc))
    if isinstance(node, ast.Assert):
        return ast.Assert(test=node.test)
    if isinstance(node, ast.Expr) and _is_telling(node.value):
        return None
    if isinstance(node, ast.AnnAssign) and _declares(node.value):
        return node.target
    if isinstance(node, ast.Call):
        if _callee_name(node).endswith(("Error", "Exception", "Warning")):
            return node.func
        keywords = [k for k in node.keywords if k.arg not in _SPOKEN_KEYWORDS]
        return ast.Call(func=node.func, args=node.args, keywords=keywords)
    return node


def _declares(node: ast.expr | None) -> bool:
    """Whether a value declares a setting; fingerprints hold what it is set to."""
    return isinstance(node, ast.Call) and _callee_name(node) in _DECLARING


def _callee(node: ast.expr | None) -> ast.expr | None:
    return node.func if isinstance(node, ast.Call) else node


def _callee_name(node: ast.Call) -> str:
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_telling(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call) or _callee_name(node) not in _TELLING:
        return False
    receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
    # `print`, tqdm.write, LOG.info, warnings.warn; but not file.write.
    name = receiver.id if isinstance(receiver, ast.Name) else None
    return receiver is None or name in {"tqdm", "LOG", "logging", "warnings"}


def is_docstring(node: ast.AST) -> bool:
    """Whether a statement is nothing but a string."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def names_used(node: ast.AST) -> Iterator[tuple[str, str | None] | ast.Import | ast.ImportFrom]:
    """The names that code refers to, with the attribute taken of each; and imports inside it.

    Yields (name, attribute) or (name, None) where the name is used by itself. Annotations of
    functions and messages are left out, as in `canonical`.
    """
    shown = _without_words(node)
    if shown is None:
        return
    if isinstance(shown, ast.Import | ast.ImportFrom):
        yield shown
    elif isinstance(shown, ast.Attribute) and isinstance(shown.value, ast.Name):
        yield shown.value.id, shown.attr
    elif isinstance(shown, ast.Name):
        yield shown.id, None
    else:
        for _, value in _fields(shown):
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, ast.AST):
                    yield from names_used(item)
