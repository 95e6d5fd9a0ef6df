"""Checks notebooks: guards, then strict nbval, as often and under as much load as you like."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat

from labkit.workbench.notebooks import cells
from labkit.workbench.notebooks.execute import (
    CELL_TIMEOUT_S,
    COLOUR,
    NotebookFailure,
    execute,
    skipped,
)
from labkit.workbench.notebooks.guards import findings
from labkit.workbench.notebooks.normalise import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

CONFIG = Path(__file__).with_name("nbval.ini")
BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"


def check(
    paths: Iterable[Path | str] = (),
    repeat: int = 1,
    twice: bool = False,
    load: bool = False,
) -> int:
    """Check the notebooks at `paths`, or all; return 1 when anything is wrong.

    Args:
        paths: Notebooks.
        repeat: How many times in a row nbval runs.
        twice: Also run each cell twice in a row.
        load: Keep every core busy meanwhile.
    """
    books = [Path(path).resolve() for path in paths] or cells.find()
    if not books:
        print("no notebooks")
        return 0
    wrong = [f"{path.name}: {found}" for path in books for found in findings(cells.read(path))]
    for line in wrong:
        print(line)
    with busy() if load else ExitStack():
        failures = [_nbval(books, number, repeat) for number in range(1, repeat + 1)]
        if twice:
            failures += [_twice(path) for path in books]
    return 1 if wrong or any(failures) else 0


def nbval(paths: Sequence[Path]) -> tuple[bool, str]:
    """Run strict nbval; return whether all cells agree, and what pytest said."""
    workers = ["-n", "2", "--dist", "loadfile"] if importlib.util.find_spec("xdist") else []
    command = [sys.executable, "-m", "pytest", "-c", str(CONFIG), "--rootdir", str(paths[0].parent)]
    command += ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", str(CELL_TIMEOUT_S)]
    command += [*(workers if len(paths) > 1 else []), *map(str, paths)]
    result = subprocess.run(  # noqa: S603 - our own command
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"LABKIT_CI": "1", "PY_COLORS": "0"},
    )
    said = result.stdout if result.returncode in {0, 1} else result.stdout + result.stderr
    return result.returncode == 0, _named(said, paths)


@contextmanager
def busy() -> Iterator[None]:
    """Keep every core busy; the loops end with this process, whatever happens to it."""
    command = [sys.executable, "-c", BUSY, str(os.getpid())]
    loops = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]  # noqa: S603
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _nbval(paths: Sequence[Path], number: int, repeat: int) -> bool:
    """Run nbval once, print the result beside empty notebooks of the same number."""
    for path in paths:
        skipped(cells.read(path), path.name)
    started = time.monotonic()
    good, said = nbval(paths)
    took = time.monotonic() - started
    with tempfile.TemporaryDirectory() as folder:
        empty = [_empty(Path(folder) / f"{index:02}_empty.ipynb") for index in range(len(paths))]
        started = time.monotonic()
        nbval(empty)
        floor = time.monotonic() - started
    if not good:
        print(said)
    times = f"{len(paths)} notebooks {took:.1f} s · {len(paths)} empty {floor:.1f} s"
    run = f"run {number} of {repeat} · " if repeat > 1 else ""
    print(f"{run}{'agree' if good else 'DIFFER'} · {times} · ratio {took / floor:.1f}", flush=True)
    return not good


def _twice(path: Path) -> bool:
    try:
        execute(cells.read(path), path.parent, times=2)
    except NotebookFailure as error:
        print(f"{path.name}: each cell twice FAILS\n{error}")
        return True
    print(f"{path.name}: each cell twice, no error", flush=True)
    return False


def _empty(path: Path) -> Path:
    cell = nbformat.v4.new_code_cell("pass", id="nothing")  # type: ignore[no-untyped-call]
    book = nbformat.v4.new_notebook(cells=[cell])  # type: ignore[no-untyped-call]
    path.write_text(dumps(book), encoding="utf-8")
    return path


def _named(said: str, paths: Sequence[Path]) -> str:
    """Add a cell's own name wherever nbval gives its number among the code cells."""
    names = {
        path.name: [cell.id for cell in cells.read(path).cells if cell.cell_type == "code"]
        for path in paths
    }

    def name(match: re.Match[str]) -> str:
        return f"{match[0]} ({names[match[1]][int(match[2])]})"

    said = COLOUR.sub("", said)
    return re.sub(rf"({'|'.join(map(re.escape, names))})::Cell (\d+)", name, said)
