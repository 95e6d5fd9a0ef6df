"""The minute plan."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from labkit.workbench.outline import outline, read


def write(folder: Path, name: str, *cells: tuple[str, object]) -> Path:
    """Write a notebook of markdown cells with their minutes."""
    made = []
    for number, (text, minutes) in enumerate(cells):
        metadata = {} if minutes is None else {"labkit": {"minutes": minutes}}
        made.append(nbformat.v4.new_markdown_cell(text, id=f"c{number}", metadata=metadata))
    path = folder / name
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


def test_sections_follow_each_other_to_the_minute(tmp_path: Path):
    """Each section starts where the one before it ends, and the total is the sum."""
    write(tmp_path, "01_one.ipynb", ("# Build", 2), ("words", None), ("## Codes\n\nmore", 58))
    write(tmp_path, "02_two.ipynb", ("# Talk", None), ("## Ping", 5))
    assert outline(tmp_path).splitlines() == [
        "Build, 60 min",
        "    0 …   2  Build",
        "    2 …  60  Codes",
        "",
        "Talk, 5 min",
        "    0 …   5  Ping",
        "",
        "chapters: 2, together 1 h 05 min",
    ]


@pytest.mark.parametrize("minutes", [0, -3, "6", 2.5])
def test_minutes_that_are_none_are_refused(tmp_path: Path, minutes: object):
    """The sentence names the notebook, the cell and the field."""
    path = write(tmp_path, "01_one.ipynb", ("# Build", minutes))
    with pytest.raises(ValueError, match=r"01_one.ipynb, cell c0: labkit.minutes"):
        read(path)
