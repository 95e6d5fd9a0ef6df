"""The parts of the README that are drawn from the project itself."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

from labkit.workbench import ledger
from labkit.workbench.exercises import prove
from labkit.workbench.notebooks import cells

BLOCKS: dict[str, Callable[[], str]] = {"ledger": ledger.summary, "exercises": prove.summary}
PICTURE = Path("notebooks/images/wire.svg")
PICTURE_CELL = ("01_architecture.ipynb", "blocked-picture")


def rendered(text: str) -> str:
    """Return the README with its generated blocks as they should be now.

    Raises:
        ValueError: the markers of a block are missing.
    """
    for name, block in BLOCKS.items():
        found = re.search(rf"<!-- {name} -->.*?<!-- /{name} -->", text, flags=re.DOTALL)
        if found is None:
            raise ValueError(f"README.md has no block <!-- {name} --> … <!-- /{name} -->: add it")
        text = text[: found.start()] + block() + text[found.end() :]
    return text


def picture(folder: Path = cells.FOLDER) -> bytes:
    """Return the SVG that chapter 1 drew of the room that one client blocks.

    Raises:
        ValueError: the chapter has no such picture: build it.
    """
    name, cell_id = PICTURE_CELL
    for cell in cells.code_cells(cells.read(folder / name)):
        shown = str(cell.outputs[0].data.get("text/html", "")) if cell.id == cell_id else ""
        if found := re.search(r"base64,([^\"]+)", shown):
            return base64.b64decode(found[1])
    raise ValueError(f"{name} has no picture in cell {cell_id}: build it")


def main(root: Path = cells.FOLDER.parent) -> int:
    """Write the README's blocks and its picture."""
    path = root / "README.md"
    path.write_text(rendered(path.read_text(encoding="utf-8")), encoding="utf-8")
    (root / PICTURE).parent.mkdir(exist_ok=True)
    (root / PICTURE).write_bytes(picture())
    return 0
