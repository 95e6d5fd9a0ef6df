"""Two demonstration exercises, as chapter 98, and a small notebook that uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest

from labkit.workbench import exercises
from labkit.workbench.exercises import catalogue, lesson
from labkit.workbench.notebooks.normalise import dumps, normalised

DEMO = Path(__file__).parent / "demo"
SETUP = f"""\
from collections import deque
from fastapi import WebSocket, WebSocketDisconnect
import json
from labkit.workbench import Lab, answer, check, exercises, progress
exercises.__path__.append({str(DEMO)!r})
lab = await Lab.start(chapter=12)"""


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add chapter 98 to the exercises, with progress in memory and nothing done yet."""
    monkeypatch.setenv("LABKIT_CI", "1")
    monkeypatch.setattr(exercises, "__path__", [*exercises.__path__, str(DEMO)])
    lesson.forget()
    yield
    lesson.forget()


@pytest.fixture
def notebook(demo: None) -> Callable[..., nbformat.NotebookNode]:
    """Make a small chapter, unexecuted; arguments replace the source of cells by id."""

    def make(**changed: str) -> nbformat.NotebookNode:
        first, second = catalogue.find("98.1"), catalogue.find("98.2")
        sources = {
            "setup": SETUP,
            "greet": "print('ada')\nprint('bob')",
            "stub-drop": first.stub_text,
            "check-drop": 'await check("98.1", put)',
            "use-drop": 'answer("98.1", put)(deque("abc"), "d", 3)',
            "stub-live": second.stub_text,
            "check-live": 'await check("98.2", endpoint)',
            "strip": "progress(98)",
            "close": "await lab.close()",
        }
        title = nbformat.v4.new_markdown_cell("# Try the tools\n\nFor tests.", id="title")
        book = small({name: text for name, text in (sources | changed).items() if text})
        book.cells.insert(0, title)
        return book

    return make


@pytest.fixture
def tiny() -> Callable[..., nbformat.NotebookNode]:
    """Make a notebook with one cell for each argument."""
    return lambda **sources: small(sources)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[nbformat.NotebookNode], Path]:
    """Write a notebook in its normal form."""

    def write(book: nbformat.NotebookNode) -> Path:
        path = tmp_path / "98_tools.ipynb"
        path.write_text(dumps(normalised(book)), encoding="utf-8")
        return path

    return write


def small(sources: dict[str, str]) -> nbformat.NotebookNode:
    """Return a notebook of code cells."""
    cells = [nbformat.v4.new_code_cell(text, id=name) for name, text in sources.items()]
    return nbformat.v4.new_notebook(cells=cells)
