"""Source text of exercises: the stub and the solution come from one definition."""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import textwrap
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

MARK = re.compile(r"^(?P<indent> *)# (?:hole: (?P<todo>.+)|(?P<end>end))$")
Thing = Callable[..., Any]  # a function or a class
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definition(thing: Thing) -> str:
    """Return the source of a function or class, from `def` on: decorators are left out."""
    text = textwrap.dedent(inspect.getsource(thing))
    node = ast.parse(text).body[0]
    return "\n".join(text.splitlines()[node.lineno - 1 :])


def without_marks(text: str) -> str:
    """Return `text` without the lines that mark holes."""
    return "\n".join(line for line in text.splitlines() if not MARK.match(line))


def with_holes(text: str, key: str) -> str:
    """Return `text` with every marked hole replaced by one line to be done.

    Raises:
        ValueError: when there is no hole, or when marks do not come in pairs.
    """
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        mark = MARK.match(line)
        if mark and bool(mark["todo"]) == inside:
            raise ValueError(f"exercise {key}: `# hole: …` and `# end` must come in pairs")
        if mark and mark["todo"]:
            lines.append(f"{mark['indent']}...  # TODO {key}: {mark['todo']}")
        elif not mark and not inside:
            lines.append(line)
        inside = inside != bool(mark)
    if inside or not any("# TODO" in line for line in lines):
        raise ValueError(f"exercise {key}: mark a hole with `# hole: what to do` and `# end`")
    return "\n".join(lines)


def compiled(text: str, name: str, filename: str, namespace: dict[str, Any]) -> Thing:
    """Define `name` from `text`, with a filename whose lines tracebacks can show."""
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    scope = dict(namespace)
    exec(compile(text, filename, "exec"), scope)  # noqa: S102 - source of this very package
    thing: Thing = scope[name]
    return thing


def filename_of(thing: Thing) -> str | None:
    """Return the file, or the notebook cell, in which a function or class was written."""
    code = _code(thing)
    return code.co_filename if code else None


def has_holes(thing: Thing) -> bool:
    """Tell whether a bare `...` or a `raise NotImplementedError` is left in the source.

    False when the source cannot be found, as for a built-in.
    """
    node = _node(thing)
    return node is not None and any(_is_hole(part) for part in ast.walk(node))


def returns(thing: Thing) -> bool:
    """Tell whether a function's source has a `return` with a value."""
    node = _node(thing)
    parts = [] if node is None else ast.walk(node)
    return any(isinstance(part, ast.Return) and part.value is not None for part in parts)


def _code(thing: Thing) -> CodeType | None:
    """Return the code of a function, or of a class's first method."""
    functions = [thing, *vars(thing).values()] if isinstance(thing, type) else [thing]
    for function in map(inspect.unwrap, functions):
        if isinstance(function, FunctionType):
            return function.__code__
    return None


def _node(thing: Thing) -> Definition | None:
    code = _code(thing)
    if code is None:
        return None
    # `inspect.getsource` cannot find a class that was written in a notebook cell.
    text = "".join(linecache.getlines(code.co_filename))
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        tree = compile(text, code.co_filename, "exec", flags, dont_inherit=True)
    except SyntaxError:
        return None
    for node in reversed(list(ast.walk(tree))):  # the innermost one first
        if isinstance(node, Definition) and node.name == thing.__name__:
            first = min([node.lineno, *(part.lineno for part in node.decorator_list)])
            if first <= code.co_firstlineno <= (node.end_lineno or first):
                return node
    return None


def _is_hole(node: ast.AST) -> bool:
    match node:
        case ast.Expr(value=ast.Constant(value=value)):
            return value is ...
        case ast.Raise(exc=ast.Name(id=name) | ast.Call(func=ast.Name(id=name))):
            return name == "NotImplementedError"
    return False
