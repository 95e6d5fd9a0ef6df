"""Executes notebooks in a kernel of this environment, as CI does."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from copy import deepcopy
from typing import TYPE_CHECKING

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from labkit.workbench.notebooks import cells

if TYPE_CHECKING:
    from pathlib import Path

    from nbformat import NotebookNode

CELL_TIMEOUT_S = 120
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PROGRAMS = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "nginx": ("nginx",),
}


class NotebookFailure(Exception):  # noqa: N818 - a notebook fails, the tool does not
    """A cell failed; the message names the cell, its source and the error."""


def missing(cell: NotebookNode) -> str:
    """Return the program that a cell needs and this machine lacks, or an empty text."""
    for tag in cells.tags(cell):
        program = cells.NEEDS.get(tag)
        if program and not any(map(shutil.which, PROGRAMS[program])):
            return program
    return ""


class _Client(NotebookClient):
    """Skips cells whose program is missing, keeping their outputs; may run each cell twice."""

    times = 1

    async def async_execute_cell(
        self,
        cell: NotebookNode,
        cell_index: int,
        execution_count: int | None = None,
        store_history: bool = True,
    ) -> NotebookNode:
        if missing(cell):
            return cell
        for run in range(1, self.times + 1):
            try:
                await super().async_execute_cell(cell, cell_index, execution_count, store_history)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                said = COLOUR.sub("", str(error)).strip()
                again = f", run {run} in a row" if run > 1 else ""
                raise NotebookFailure(f"cell {cell.id}{again}: {said}") from error
        return cell


def execute(notebook: NotebookNode, folder: Path, *, times: int = 1) -> NotebookNode:
    """Return an executed copy; each cell runs `times` times in a row, and the last run stays.

    Raises:
        NotebookFailure: a cell raised, hung, killed its kernel, or wrote to stderr.
    """
    book = deepcopy(notebook)
    client = _Client(
        book,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # or each start warns about TCP on this machine
        resources={"metadata": {"path": str(folder)}},
    )
    client.times = times
    asyncio.run(client.async_execute(env=os.environ | {"LABKIT_CI": "1"}))
    for cell in cells.code_cells(book):
        for output in cell.outputs:
            if output.get("name") == "stderr":
                raise NotebookFailure(f"cell {cell.id} writes to stderr: {output.text.strip()}")
    return book


def skipped(notebook: NotebookNode, name: str) -> None:
    """Say aloud which cells this machine cannot run."""
    for cell in cells.code_cells(notebook):
        if program := missing(cell):
            print(f"{name}: cell {cell.id} skipped, {program} is not installed", file=sys.stderr)
