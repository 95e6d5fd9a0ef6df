"""The minute plan of the workbook, from what the notebooks' cells say of themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit.workbench.notebooks import cells

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Chapter:
    """One chapter's plan.

    Attributes:
        title: Its heading.
        sections: Heading and minutes of each cell with ``labkit.minutes`` in its metadata.
    """

    title: str
    sections: list[tuple[str, int]] = field(default_factory=list)

    @property
    def minutes(self) -> int:
        """Minutes of the whole chapter."""
        return sum(minutes for _, minutes in self.sections)

    def __str__(self) -> str:
        lines, start = [f"{self.title}, {self.minutes} min"], 0
        for heading, minutes in self.sections:
            lines.append(f"  {start:3} … {start + minutes:3}  {heading}")
            start += minutes
        return "\n".join(lines)


def read(notebook: Path) -> Chapter:
    """Read a chapter's plan.

    Raises:
        ValueError: It is not a notebook, or its minutes are not whole numbers above 0.
    """
    chapter = Chapter(notebook.stem)
    for cell in cells.read(notebook).cells:
        heading = _heading(cell.source) if cell.cell_type == "markdown" else ""
        if heading and chapter.title == notebook.stem:
            chapter.title = heading
        minutes = cell.metadata.get("labkit", {}).get("minutes")
        if minutes is None:
            continue
        if not isinstance(minutes, int) or minutes < 1:
            raise ValueError(f"{notebook.name}, cell {cell.id}: labkit.minutes is not above 0")
        chapter.sections.append((heading or cell.id, minutes))
    return chapter


def outline(folder: Path) -> str:
    """Write the plan of every chapter in a folder of notebooks, and the total."""
    chapters = [read(notebook) for notebook in cells.find(folder)]
    total = sum(chapter.minutes for chapter in chapters)
    closing = f"chapters: {len(chapters)}, together {total // 60} h {total % 60:02} min"
    return "\n\n".join([*map(str, chapters), closing])


def _heading(markdown: str) -> str:
    for line in markdown.splitlines():
        if line.startswith("#"):
            return line.lstrip("#").strip()
    return ""
