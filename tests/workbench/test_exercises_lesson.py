"""What a notebook calls prints one line and never raises."""

from __future__ import annotations

import json

import pytest

from labkit.workbench.exercises import answer, catalogue, check, hint, lesson, progress, solution

pytestmark = pytest.mark.usefixtures("demo")


def solved():
    return catalogue.find("98.1").answer


def wrong():
    return catalogue.find("98.1").wrongs[0].answer


async def test_check_prints_one_line(capsys):
    """One line for each outcome."""
    await check("98.1", wrong())
    await check("98.1", solved())
    lines = capsys.readouterr().out.splitlines()
    assert [line[:6] for line in lines] == ["✗ 98.1", "✓ 98.1"]


@pytest.mark.parametrize("call", [hint, solution])
def test_an_unknown_key_is_one_sentence(capsys, call):
    """A wrong number does not raise."""
    call("98.9")
    assert capsys.readouterr().out == "there is no exercise 98.9: chapter 98 has 98.1, 98.2\n"


async def test_check_of_an_unknown_key_is_one_sentence(capsys):
    """A wrong number does not raise."""
    await check("98.9", None)
    assert "chapter 98 has" in capsys.readouterr().out


def test_hints_climb_a_ladder(capsys):
    """Each call shows the next one, and the last one stays."""
    for _ in range(3):
        hint("98.1")
    lines = capsys.readouterr().out.splitlines()
    assert [line[:11] for line in lines[::2]] == ["hint 1 of 2", "hint 2 of 2", "hint 2 of 2"]


def test_a_hint_can_be_asked_for_by_its_number(capsys):
    """A number out of range becomes the nearest."""
    hint("98.1", 9)
    hint("98.1", 0)
    assert [line[:6] for line in capsys.readouterr().out.splitlines()[::2]] == ["hint 2", "hint 1"]


async def test_the_solution_opens_after_three_tries(capsys):
    """Three honest tries are enough."""
    solution("98.1")
    assert "opens when it passes, or after 3 tries (0 of 3 tries)" in capsys.readouterr().out
    for _ in range(3):
        await check("98.1", wrong())
    capsys.readouterr()
    solution("98.1")
    assert capsys.readouterr().out == catalogue.find("98.1").solution_text + "\n"


async def test_the_solution_opens_after_a_pass(capsys):
    """Who has passed may compare."""
    await check("98.1", solved())
    capsys.readouterr()
    solution("98.1")
    assert capsys.readouterr().out.startswith("def put(")


def test_the_solution_opens_when_asked_outright(capsys):
    """No one is locked out."""
    solution("98.1", now=True)
    assert capsys.readouterr().out.startswith("def put(")


async def test_what_is_no_attempt_is_not_counted():
    """An untouched stub or a slip opens no solution."""
    await check("98.1", None)
    assert lesson._store()["98.1"].tries == 0


async def test_later_cells_get_the_learners_version_once_it_passed():
    """Before that, and after an edit, they get the solution."""

    def put(backlog, message, limit):
        return solved()(backlog, message, limit)

    assert answer("98.1", put) is solved()
    await check("98.1", put)
    assert answer("98.1", put) is put
    assert answer("98.1", wrong()) is solved()


async def test_the_strip_says_the_same_in_html_and_in_text():
    """Signs carry the state, in both."""
    await check("98.1", solved())
    await check("98.2", catalogue.find("98.2").wrongs[1].answer)
    strip = progress(98)
    expected = (
        "chapter 98: 1 of 2 exercises done\n✓ 98.1 Drop the oldest  ✗ 98.2 Live through nonsense"
    )
    assert repr(strip) == expected
    html = strip._repr_html_()
    assert "✓ 98.1 Drop the oldest" in html
    assert "✗ 98.2 Live through nonsense" in html
    assert 'aria-label="chapter 98: 1 of 2 exercises done"' in html


def test_the_strip_of_a_chapter_without_exercises_is_empty():
    """A chapter may have none."""
    assert repr(progress(96)) == "chapter 96: 0 of 0 exercises done"


async def test_progress_is_kept_in_the_learners_file(monkeypatch, tmp_path):
    """A new kernel knows what passed."""
    path = tmp_path / "progress.json"
    monkeypatch.delenv("LABKIT_CI")
    monkeypatch.setenv("LABKIT_PROGRESS", str(path))
    lesson.forget()
    await check("98.1", solved())
    lesson.forget()
    assert json.loads(path.read_text()) == {"98.1": {"hints": 0, "passed": True, "tries": 1}}
    assert "1 of 2" in repr(progress(98))


async def test_a_broken_progress_file_costs_one_sentence(monkeypatch, tmp_path, capsys):
    """The sentence comes once, after the line of the check."""
    path = tmp_path / "progress.json"
    path.write_text("{ not json")
    monkeypatch.delenv("LABKIT_CI")
    monkeypatch.setenv("LABKIT_PROGRESS", str(path))
    lesson.forget()
    await check("98.1", solved())
    await check("98.1", solved())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1] == ("the progress file could not be read: it is kept as progress.json.broken-1")


async def test_a_kernel_that_runs_an_older_package_is_told_so(monkeypatch, capsys):
    """After an upgrade the kernel must be restarted."""
    monkeypatch.setattr("labkit.__version__", "0.0.1")
    await check("98.1", solved())
    assert "this kernel runs 0.0.1: restart the kernel" in capsys.readouterr().out
