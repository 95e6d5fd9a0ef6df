"""Where a notebook uses its exercises: each stub once, in order, with its check after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.workbench.exercises import catalogue
from labkit.workbench.notebooks import cells

if TYPE_CHECKING:
    from nbformat import NotebookNode


def gaps(notebook: NotebookNode, chapter: int) -> list[str]:
    """Return what is wrong with the exercises of a notebook, as sentences."""
    code = cells.code_cells(notebook)
    checks = [key for cell in code for key in cells.calls(cell.source, "check")]
    keys = catalogue.keys(chapter)
    found = [f"{key} is no exercise of chapter {chapter}" for key in checks if key not in keys]
    if [key for key in checks if key in keys] != keys:
        found.append(f"exercises {', '.join(keys)} must be checked once each, in this order")
    for key in keys:
        stub = catalogue.find(key).stub_text
        places = [index for index, cell in enumerate(code) if cell.source.strip() == stub]
        if len(places) != 1:
            found.append(f"{key}: {len(places)} cells hold its stub, one is needed:\n{stub}")
        elif key not in cells.calls(_source(code, places[0] + 1), "check"):
            found.append(f"{key}: the code cell after the stub must check it")
    return found


def _source(code: list[NotebookNode], index: int) -> str:
    return str(code[index].source) if index < len(code) else ""
