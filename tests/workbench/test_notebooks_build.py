"""Notebooks are executed in a real kernel, and written only when they change."""

from __future__ import annotations

import nbformat
import pytest

from labkit.workbench.exercises import placement
from labkit.workbench.notebooks import build, cells, findings, solve, solved
from labkit.workbench.notebooks.execute import NotebookFailure, execute, missing

pytestmark = [pytest.mark.usefixtures("demo"), pytest.mark.timeout(120)]


def said(book) -> dict[str, str]:
    """Return what each code cell says, by id."""
    return {cell.id: "".join(cells.texts(cell)) for cell in cells.code_cells(book)}


def test_building_executes_and_building_again_changes_nothing(tmp_path, capsys, notebook, write):
    """The built notebook is clean, and stays as it is."""
    path = write(notebook())
    assert build([path], check=True) == 1
    assert build([path]) == 0
    text = path.read_text()
    assert build([path], check=True) == 0
    assert path.read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["98_tools.ipynb"]
    assert capsys.readouterr().out.splitlines() == [
        "98_tools.ipynb would change",
        "98_tools.ipynb built",
        "98_tools.ipynb unchanged",
    ]
    book = cells.read(path)
    assert findings(book) == []
    assert said(book)["check-drop"].startswith("□ 98.1 not done yet")
    assert said(book)["use-drop"] == "1"


def test_the_solved_copy_passes_every_check(tmp_path, notebook):
    """With the solutions filled in, each check says ✓ and later cells still run."""
    book = execute(solved(notebook(), 98), tmp_path)
    lines = said(book)
    assert lines["check-drop"] == "✓ 98.1 Drop the oldest\n"
    assert lines["check-live"] == "✓ 98.2 Live through nonsense\n"
    assert "2 of 2 exercises done" in lines["strip"]


def test_a_failing_cell_is_named_and_the_file_is_left_alone(tmp_path, capsys, tiny, write):
    """A broken notebook is never written."""
    path = write(tiny(fine="1", broken="{}['x']"))
    text = path.read_text()
    assert build([path]) == 1
    assert path.read_text() == text
    shown = capsys.readouterr().out
    assert "98_tools.ipynb fails" in shown
    assert "cell broken: " in shown
    assert "KeyError" in shown
    assert "\x1b" not in shown
    assert "{}['x']" in shown


def test_a_cell_that_writes_to_stderr_fails(tmp_path, tiny):
    """A warning is a finding, not an output."""
    with pytest.raises(NotebookFailure, match="cell warns writes to stderr"):
        execute(tiny(warns="import sys; print('careful', file=sys.stderr)"), tmp_path)


def test_a_file_that_is_no_notebook_is_one_sentence(tmp_path, capsys):
    """No traceback for a broken file."""
    path = tmp_path / "98_tools.ipynb"
    path.write_text("{")
    assert build([path]) == 1
    assert "is not a notebook" in capsys.readouterr().out


def test_a_cell_without_its_program_is_skipped_aloud_and_keeps_its_output(
    tmp_path, capsys, monkeypatch, tiny, write
):
    """Nothing is lost on a machine that lacks the program."""
    monkeypatch.setenv("PATH", str(tmp_path))
    book = tiny(before="1", proxied="raise RuntimeError('never run')", after="2")
    book.cells[1].metadata = {"tags": ["needs-nginx"]}
    book.cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="proxied\n")]
    assert missing(book.cells[1]) == "nginx"
    path = write(book)
    assert build([path]) == 0
    built = cells.read(path)
    assert said(built) == {"before": "1", "proxied": "proxied\n", "after": "2"}
    assert [cell.execution_count for cell in built.cells] == [1, 2, 3]
    assert "cell proxied skipped, nginx is not installed" in capsys.readouterr().err


def test_a_picture_is_kept_while_its_words_are_the_same(tmp_path, tiny, write):
    """Pixels show measurements; the words beside them decide."""
    draw = "from IPython.display import display, Image\nimport os\n"
    draw += "display(Image(os.urandom(8), format='png'))"
    path = write(tiny(draw=draw))
    assert build([path]) == 0
    assert build([path], check=True) == 0


def test_each_cell_can_run_twice(tmp_path, tiny):
    """A cell that only works once is found."""
    twice = tiny(one="import os", two="os.environ.pop('LABKIT_CI')")
    execute(twice, tmp_path)
    with pytest.raises(NotebookFailure, match=r"(?s)cell two, run 2 in a row: .*KeyError"):
        execute(twice, tmp_path, times=2)


def test_solve_writes_beside_what_is_there(tmp_path, notebook, write):
    """A learner's file is never overwritten."""
    write(notebook())
    first, second = (solve(98, tmp_path / "work", tmp_path) for _ in range(2))
    assert [first.name, second.name] == ["98_tools_solved.ipynb", "98_tools_solved_2.ipynb"]
    assert "popleft" in first.read_text()
    assert "TODO" not in first.read_text()


def test_solve_of_an_unknown_chapter_is_one_sentence(tmp_path, notebook, write):
    """The sentence says which chapters there are."""
    write(notebook())
    with pytest.raises(ValueError, match="no notebook of chapter 97; there are: 98"):
        solve(97, tmp_path, tmp_path)


def test_exercises_in_their_places_have_no_gaps(notebook):
    """Each stub once, in order, with its check after it."""
    assert placement.gaps(notebook(), 98) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"stub-drop": "def put(): ..."}, "98.1: 0 cells hold its stub"),
        ({"check-drop": "1"}, "98.1: the code cell after the stub must check it"),
        ({"check-drop": ""}, "exercises 98.1, 98.2 must be checked once each, in this order"),
        ({"greet": 'await check("98.7", print)'}, "98.7 is no exercise of chapter 98"),
        ({"greet": 'await check("98.2", None)'}, "must be checked once each, in this order"),
    ],
)
def test_a_misplaced_exercise_is_named(changed, words, notebook):
    """What a learner would stumble over."""
    assert words in "\n".join(placement.gaps(notebook(**changed), 98))
