"""Reads notebooks: where they are, what their cells call, what their outputs say."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat

import labkit

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = Path(labkit.__file__).parent.parent / "notebooks"
NAME = re.compile(r"(\d\d)_[a-z0-9_]+\.ipynb")
NEEDS = {"needs-chromium": "chromium", "needs-nginx": "nginx"}


def find(folder: Path = FOLDER) -> list[Path]:
    """List the chapters' notebooks in order."""
    return sorted(path for path in folder.glob("*.ipynb") if NAME.fullmatch(path.name))


def chapter_of(path: Path) -> int:
    """Return the chapter that a notebook's name begins with.

    Raises:
        ValueError: the name is not like `03_sse.ipynb`.
    """
    match = NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path.name}: a notebook's name begins with its chapter: 03_sse.ipynb")
    return int(match[1])


def read(path: Path) -> NotebookNode:
    """Read one notebook.

    Raises:
        ValueError: the file is not a notebook.
    """
    try:
        notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except (ValueError, nbformat.ValidationError, nbformat.reader.NotJSONError) as error:
        raise ValueError(f"{path.name} is not a notebook: {error}") from error
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """List the code cells that have code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def tags(cell: NotebookNode) -> list[str]:
    """List a cell's tags."""
    return list(cell.metadata.get("tags", []))


def calls(source: str, function: str) -> list[str]:
    """List the first argument of every call of `function` with a literal text."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        tree = compile(source, "cell", "exec", flags, dont_inherit=True)
    except SyntaxError:  # a magic; such a cell calls nothing of ours
        return []
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    nodes.sort(key=lambda node: (node.lineno, node.col_offset))
    return [
        node.args[0].value
        for node in nodes
        if isinstance(node.func, ast.Name) and node.func.id == function
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    ]


def texts(cell: NotebookNode) -> list[str]:
    """List what a cell's outputs say as plain text: streams, and the text of displays."""
    found = [
        output.get("text") or output.get("data", {}).get("text/plain") for output in cell.outputs
    ]
    return [text for text in found if text]
