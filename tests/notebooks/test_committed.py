"""The committed notebooks are what a reader, an instructor and CI may rely on."""

from __future__ import annotations

import statistics

import pytest

from labkit.workbench import ledger
from labkit.workbench.exercises import catalogue, placement
from labkit.workbench.notebooks import cells, findings, solved
from labkit.workbench.notebooks.execute import execute
from labkit.workbench.notebooks.normalise import dumps, normalised

NOTEBOOKS = cells.find()
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def test_every_written_chapter_has_its_notebook():
    """The tests below run over as many notebooks as the ledger promises."""
    assert [cells.chapter_of(path) for path in NOTEBOOKS] == sorted(ledger.read().chapters)


def test_nothing_else_is_among_the_notebooks():
    """A notebook whose name is not `03_sse.ipynb` would be built and tested by nobody."""
    assert sorted(cells.FOLDER.rglob("*.ipynb")) == NOTEBOOKS


@each
def test_the_notebook_is_clean(path):
    """Executed in order, stable outputs, headings, pictures with words, nothing left over."""
    assert findings(cells.read(path)) == []


@each
def test_the_notebook_is_in_its_normal_form(path):
    """Slug ids, sorted metadata, no times: normalising changes nothing."""
    assert dumps(normalised(cells.read(path))) == path.read_text(encoding="utf-8")


@each
def test_code_cells_are_short(path):
    """One idea a cell: the median has two to four lines."""
    code = [cell.source.splitlines() for cell in cells.code_cells(cells.read(path))]
    lengths = [sum(bool(line.strip()) for line in lines) for lines in code]
    assert 1 <= statistics.median(lengths) <= 4


@each
def test_exercises_are_in_their_places(path):
    """Each stub once, in order, with its check after it."""
    assert placement.gaps(cells.read(path), cells.chapter_of(path)) == []


@each
def test_the_notebook_with_all_solutions_passes_every_check(path, monkeypatch):
    """Each exercise says ✓ in place, and the cells after it still run."""
    monkeypatch.setenv("LABKIT_CI", "1")
    chapter = cells.chapter_of(path)
    book = execute(solved(cells.read(path), chapter), path.parent)
    said = "\n".join(text for cell in cells.code_cells(book) for text in cells.texts(cell))
    missed = [key for key in catalogue.keys(chapter) if f"✓ {key} " not in said]
    assert missed == []
