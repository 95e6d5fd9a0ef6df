"""Solved copies: a notebook with every stub replaced by its solution."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from labkit.workbench.exercises import catalogue
from labkit.workbench.notebooks import cells
from labkit.workbench.notebooks.normalise import dumps

if TYPE_CHECKING:
    from pathlib import Path

    from nbformat import NotebookNode


def solved(notebook: NotebookNode, chapter: int) -> NotebookNode:
    """Return a copy without outputs in which every stub is the solution."""
    book = deepcopy(notebook)
    exercises = [catalogue.find(key) for key in catalogue.keys(chapter)]
    answers = {exercise.stub_text: exercise.solution_text for exercise in exercises}
    for cell in cells.code_cells(book):
        cell.source = answers.get(cell.source.strip(), cell.source)
        cell.outputs, cell.execution_count = [], None
    return book


def solve(chapter: int, folder: Path, source: Path = cells.FOLDER) -> Path:
    """Write the solved copy of a chapter into `folder`, beside what is there, and return its path.

    Raises:
        ValueError: there is no such chapter.
    """
    found = {cells.chapter_of(path): path for path in cells.find(source)}
    if chapter not in found:
        known = ", ".join(map(str, found)) or "none"
        raise ValueError(f"there is no notebook of chapter {chapter}; there are: {known}")
    text = dumps(solved(cells.read(found[chapter]), chapter))
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        suffix = "" if number == 1 else f"_{number}"
        target = folder / f"{found[chapter].stem}_solved{suffix}.ipynb"
        try:
            with target.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            continue
        return target
    raise ValueError(f"{folder} is full of solved copies: delete some")
