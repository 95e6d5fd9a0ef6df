"""Builds notebooks: execute, normalise, write what changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.workbench.notebooks import cells
from labkit.workbench.notebooks.execute import NotebookFailure, execute, skipped
from labkit.workbench.notebooks.normalise import dumps, normalised

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbformat import NotebookNode

PICTURES = ("image/png", "image/jpeg")


def built(path: Path) -> str:
    """Return the text that a notebook's file should have.

    Raises:
        NotebookFailure: a cell failed.
        ValueError: it is not a notebook, or its cell ids are not slugs.
    """
    before = cells.read(path)
    skipped(before, path.name)
    after = normalised(execute(normalised(before), path.parent))
    _keep_pictures(before, after)
    return dumps(after)


def build(paths: Iterable[Path | str] = (), *, check: bool = False) -> int:
    """Build the notebooks at `paths`, or all; with `check`, only say which would change.

    Returns 1 when a notebook fails, or would change under `check`.
    """
    status = 0
    for path in map(Path, paths or cells.find()):
        try:
            text = built(path)
        except (NotebookFailure, ValueError, OSError) as error:
            print(f"{path.name} fails\n{error}")
            status = 1
            continue
        changed = text != path.read_text(encoding="utf-8")
        if changed and not check:
            draft = path.with_suffix(".tmp")
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
        did = "unchanged" if not changed else "would change" if check else "built"
        print(f"{path.name} {did}", flush=True)
        status = status or int(changed and check)
    return status


def _keep_pictures(before: NotebookNode, after: NotebookNode) -> None:
    """Keep a committed picture when the cell and everything beside the picture is the same.

    Its pixels show measurements, which differ from run to run; its printed summary does not.
    To draw it anew, clear the cell's output first.
    """
    old = {cell.id: cell for cell in before.cells}
    for cell in cells.code_cells(after):
        twin = old[cell.id]
        if twin.source != cell.source or len(twin.outputs) != len(cell.outputs):
            continue
        for stored, fresh in zip(twin.outputs, cell.outputs, strict=True):
            if "data" in stored and "data" in fresh and _words(stored) == _words(fresh):
                fresh.data.update(
                    {kind: stored.data[kind] for kind in PICTURES if kind in stored.data}
                )


def _words(output: NotebookNode) -> dict[str, Any]:
    return {kind: data for kind, data in output.data.items() if kind not in PICTURES}
