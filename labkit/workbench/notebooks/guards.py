"""Guards over a committed notebook: what a reader, or the next run, would stumble over."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from labkit.workbench.notebooks import cells

if TYPE_CHECKING:
    from nbformat import NotebookNode

MAX_CODE_LINES = 20
MAX_WORDS = 110
LAST_LINE = "0 servers · 0 tasks · 0 sockets left"
FENCE = re.compile(r"```.*?```", flags=re.DOTALL)
# What differs from run to run, or from machine to machine.
UNSTABLE = re.compile(
    r"(127\.0\.0\.1|localhost|\[::1\]):\d{4,5}"
    r"|(?<![\w/])/(tmp|home|Users|root|var)/|[A-Z]:\\Users"
    r"|\bat 0x[0-9a-f]{6,}|<Task |<Future "
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\b\d\d:\d\d:\d\d\b"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-"
)


def findings(notebook: NotebookNode) -> list[str]:
    """Return everything that is wrong with a notebook, as sentences; none when it is clean."""
    found = _prose(notebook)
    code = cells.code_cells(notebook)
    for number, cell in enumerate(code, 1):
        found += [f"cell {cell.id}: {gap}" for gap in _code(cell, number)]
    last = code[-1] if code else None
    if last is None or last.source.strip() != "await lab.close()":
        found.append("the last code cell must be `await lab.close()`")
    elif LAST_LINE not in "".join(cells.texts(last)):
        found.append(f"the last output must be {LAST_LINE!r}")
    return found


def _prose(notebook: NotebookNode) -> list[str]:
    found, levels = [], []
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        text = FENCE.sub("", cell.source)
        levels += [len(mark) for mark in re.findall(r"^(#+) ", text, flags=re.MULTILINE)]
        if (words := len(text.split())) > MAX_WORDS:
            found.append(f"cell {cell.id}: {words} words, at most {MAX_WORDS}")
        if re.search(r"!\[\s*\]\(", text) or re.search(r"<img(?![^>]*\balt=\"[^\"]+\")", text):
            found.append(f"cell {cell.id}: a picture without alt text")
    if levels.count(1) != 1 or levels[0] != 1:
        found.append(f"{levels.count(1)} headings of the first level; one is needed, at the top")
    skips = [(a, b) for a, b in pairwise(levels) if b > a + 1]
    return found + [f"a heading of level {b} follows one of level {a}" for a, b in skips]


def _code(cell: NotebookNode, number: int) -> list[str]:
    found = []
    if cell.execution_count != number:
        found.append(f"execution count {cell.execution_count}, not {number}: build the notebook")
    if (lines := len([line for line in cell.source.splitlines() if line.strip()])) > MAX_CODE_LINES:
        found.append(f"{lines} lines of code, at most {MAX_CODE_LINES}")
    for output in cell.outputs:
        if output.output_type == "error":
            found.append(f"an error is stored: {output.ename}")
        if output.get("name") == "stderr":
            found.append("the output has lines of stderr")
        if (data := output.get("data")) is not None:
            found += _display(data)
        if hit := UNSTABLE.search(_compared(output)):
            found.append(f"the output has {hit[0]!r}, which differs from run to run")
    if _has_picture(cell) and not _has_words(cell):
        found.append("a picture without a text beside it that says the same")
    return found


def _display(data: dict[str, Any]) -> list[str]:
    found = []
    if "application/vnd.jupyter.widget-view+json" in data:
        found.append("a widget is stored, which nothing shows later")
    markup = str(data.get("text/html", ""))
    if re.search(r"<img(?![^>]*\balt=\"[^\"]+\")", markup):
        found.append("a picture without alt text in the output")
    return found


def _compared(output: NotebookNode) -> str:
    data = {kind: text for kind, text in output.get("data", {}).items() if "image/" not in kind}
    return json.dumps([output.get("text", ""), data], ensure_ascii=False)


def _has_picture(cell: NotebookNode) -> bool:
    data = [output.get("data", {}) for output in cell.outputs]
    return any("image/" in kind for kinds in data for kind in kinds) or any(
        "<img" in str(kinds.get("text/html", "")) or "<svg" in str(kinds.get("text/html", ""))
        for kinds in data
    )


def _has_words(cell: NotebookNode) -> bool:
    return any(not re.fullmatch(r"<[^<>]*>", text.strip()) for text in cells.texts(cell))
