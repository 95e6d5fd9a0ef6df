"""One form for every notebook, so that a diff shows what changed and nothing else."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING

import nbformat

if TYPE_CHECKING:
    from nbformat import NotebookNode

SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# What an editor invents when a cell is made: eight hex digits, or a UUID.
INVENTED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?")
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
CELL_METADATA = ("jupyter", "labkit", "slideshow", "tags")


def normalised(notebook: NotebookNode) -> NotebookNode:
    """Return a copy in the one form: slug ids, counts from 1, no times, no machine.

    Raises:
        ValueError: cell ids that are missing, invented by an editor, or there twice.
    """
    book = deepcopy(notebook)
    _check_ids([cell.get("id", "") for cell in book.cells])
    book.nbformat, book.nbformat_minor = 4, 5
    kept = {key: book.metadata[key] for key in ("labkit", "title") if key in book.metadata}
    book.metadata = kept | {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    count = 0
    for cell in book.cells:
        cell.source = "\n".join(line.rstrip() for line in cell.source.strip("\n").splitlines())
        cell.metadata = {key: cell.metadata[key] for key in CELL_METADATA if cell.metadata.get(key)}
        if "tags" in cell.metadata:
            cell.metadata["tags"] = sorted(set(cell.metadata["tags"]))
        if cell.cell_type == "code":
            count += bool(cell.source)
            _number(cell, count if cell.source else None)
    return book


def dumps(notebook: NotebookNode) -> str:
    """Return the text of the file: sorted keys, one space, UTF-8, a newline at the end."""
    nbformat.validate(notebook)
    text = nbformat.writes(notebook, version=nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]
    return str(text).rstrip("\n") + "\n"


def _check_ids(ids: list[str]) -> None:
    for index, name in enumerate(ids):
        if not SLUG.fullmatch(name) or INVENTED.fullmatch(name):
            raise ValueError(f"cell {index}: id {name!r} is no slug such as 'slow-reader-attack'")
        if name in ids[:index]:
            raise ValueError(f"cell {index}: id {name!r} is there twice")


def _number(cell: NotebookNode, count: int | None) -> None:
    cell.execution_count = count
    outputs: list[NotebookNode] = []
    for output in cell.outputs:
        if output.output_type == "execute_result":
            output.execution_count = count
        if output.output_type in {"execute_result", "display_data"}:
            output.metadata = {}
        same = outputs and output.output_type == "stream" == outputs[-1].output_type
        if same and output.name == outputs[-1].name:
            outputs[-1].text += output.text
        else:
            outputs.append(output)
    cell.outputs = outputs
