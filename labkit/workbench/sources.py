"""Show the source of what a lesson talks about, so that nothing in it is magic."""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parents[1]
_ASIDES = re.compile(r" *# (noqa|type: ignore|fmt:).*$", flags=re.MULTILINE)
"""Remarks to linters, which are not for readers."""


@dataclass(frozen=True, slots=True)
class Source:
    """Python source that a notebook shows highlighted. `str()` is the source itself."""

    text: str
    place: str

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        fence = "````" if "```" in self.text else "```"
        markdown = f"`{self.place}`\n\n{fence}python\n{self.text}\n{fence}"
        return {"text/plain": self.text, "text/markdown": markdown}


def show(thing: Any, *, lines: tuple[int, int] | None = None) -> Source:  # noqa: ANN401
    """Show the source of a function, class, method or module, of labkit or of this notebook.

    Args:
        thing: What to show. Wrapped functions are unwrapped, properties show their getter.
        lines: First and last line to show, counted from 1 within the source.

    Raises:
        TypeError: `thing` has no Python source.
        ValueError: `lines` lies outside the source.
    """
    getter: Any = thing.fget if isinstance(thing, property) else thing
    target: Any = inspect.unwrap(getter)  # a wrapper tells nothing of what it wraps
    name = "" if inspect.ismodule(target) else str(getattr(target, "__qualname__", ""))
    source = textwrap.dedent(_source(target, name)).rstrip("\n")
    source = _ASIDES.sub("", source)
    if lines is not None:
        source = _slice(source, lines, name)
    return Source(source, f"{_file(target)} · {name}" if name else _file(target))


def _source(target: Any, name: str) -> str:  # noqa: ANN401 - anything may be asked for
    try:
        if inspect.isclass(target) and target.__module__ == "__main__":
            return _class_of_notebook(target)
        return inspect.getsource(target)
    except (TypeError, OSError):
        what = name or repr(type(target).__name__)
        raise TypeError(
            f"there is no Python source for {what}: show a function, class or method "
            "of labkit or of this notebook"
        ) from None


def _class_of_notebook(target: type) -> str:
    """Return the source of a class made in a cell, which `inspect` cannot find before 3.13."""
    codes = [member.__code__ for member in vars(target).values() if inspect.isfunction(member)]
    files = [code.co_filename for code in codes if code.co_filename in linecache.cache]
    for file in [*files, *reversed(linecache.cache)]:
        text = "".join(linecache.getlines(file))
        if f"class {target.__name__}" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and node.name == target.__name__:
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
    raise OSError


def _slice(source: str, lines: tuple[int, int], name: str) -> str:
    all_lines = source.splitlines()
    first, last = lines
    if not 1 <= first <= last <= len(all_lines):
        raise ValueError(f"lines={lines} is outside {name}, which has {len(all_lines)} lines")
    return textwrap.dedent("\n".join(all_lines[first - 1 : last]))


def _file(target: Any) -> str:  # noqa: ANN401 - anything may be asked for
    module = target.__name__ if inspect.ismodule(target) else target.__module__
    if module == "__main__":
        return "this notebook"
    path = Path(inspect.getsourcefile(target) or "").resolve()
    if path.is_relative_to(_PACKAGE):
        return (Path(_PACKAGE.name) / path.relative_to(_PACKAGE)).as_posix()
    return str(module)
