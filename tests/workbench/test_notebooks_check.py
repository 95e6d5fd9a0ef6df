"""The check really compares, and says which cell differs."""

from __future__ import annotations

import re
import subprocess
import sys

import nbformat
import psutil
import pytest

from labkit.workbench.notebooks import cells, check
from labkit.workbench.notebooks.checking import busy, nbval
from labkit.workbench.notebooks.normalise import dumps

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def built(tmp_path, tiny, write):
    """Write a notebook with the outputs that it will have."""
    book = tiny(one="print('ada')", two="1 + 1")
    book.cells[0].outputs = [nbformat.v4.new_output("stream", name="stdout", text="ada\n")]
    book.cells[1].outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"})]
    return write(book)


def test_a_notebook_that_agrees_is_green(built):
    """Strict nbval accepts what was just built."""
    good, shown = nbval([built])
    assert good, shown
    assert "2 passed" in shown


def test_tampered_outputs_are_red_and_named(built):
    """The guard of the guard: nbval compares streams and results."""
    book = cells.read(built)
    book.cells[0].outputs[0].text = "eve\n"
    book.cells[1].outputs[0].data["text/plain"] = "3"
    built.write_text(dumps(book))
    good, shown = nbval([built])
    assert not good
    assert "Cell 0 (one)" in shown
    assert "Cell 1 (two)" in shown
    assert "eve" in shown
    assert "\x1b" not in shown


def test_a_cell_without_its_program_is_skipped_by_nbval_aloud(built, monkeypatch, tmp_path):
    """The reason is in the report."""
    monkeypatch.setenv("PATH", str(tmp_path))
    book = cells.read(built)
    book.cells[1].metadata = {"tags": ["needs-nginx"]}
    book.cells[1].outputs = []
    built.write_text(dumps(book))
    good, shown = nbval([built])
    assert good, shown
    assert "cell two: nginx is not installed" in shown


def test_check_reports_guards_and_the_ratio_to_empty_notebooks(built, capsys):
    """Guards first; then one line for each run, with a ratio that nobody asserts."""
    assert check([built], twice=True) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == ("98_tools.ipynb: 0 headings of the first level; one is needed, at the top")
    assert re.fullmatch(
        r"agree · 1 notebooks [\d.]+ s · 1 empty [\d.]+ s · ratio [\d.]+", lines[-2]
    )
    assert lines[-1] == "98_tools.ipynb: each cell twice, no error"


def test_check_without_notebooks_says_so(monkeypatch, capsys):
    """Nothing to check is said, not hidden."""
    monkeypatch.setattr(cells, "find", list)
    assert check() == 0
    assert capsys.readouterr().out == "no notebooks\n"


def test_the_load_ends_with_the_check():
    """No busy loop is left behind."""
    others = set(psutil.Process().children())  # of tests that ran before in this process
    with busy():
        loops = set(psutil.Process().children()) - others
        assert loops
    assert not any(loop.is_running() for loop in loops)


def test_the_load_ends_when_its_process_is_killed():
    """A killed check leaves no busy loop, either."""
    code = "from labkit.workbench.notebooks.checking import busy\nimport time\n"
    code += "with busy():\n    print('ready', flush=True)\n    time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        loops = psutil.Process(process.pid).children()
        process.kill()
    _, alive = psutil.wait_procs(loops, timeout=30)
    for loop in alive:
        loop.kill()
    assert alive == []


def test_the_plugin_spares_a_costly_import():
    """A process with the plugin never compiles the grammar that no notebook needs."""
    code = "import labkit.workbench.notebooks.plugin, nbval.plugin, jsonschema, sys\n"
    code += "print(sys.modules['rfc3987_syntax'], 'lark' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["None", "False"]
