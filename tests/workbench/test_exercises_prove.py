"""Every exercise is proven; and the proof itself can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labkit.workbench import exercises
from labkit.workbench.exercises import catalogue, prove


@pytest.mark.parametrize("key", catalogue.keys())
async def test_stub_is_not_done_wrong_answers_are_refused_solution_passes(key):
    """Each shipped exercise holds what it promises."""
    assert await prove.prove(catalogue.find(key)) == []


@pytest.mark.parametrize("key", ["98.1", "98.2"])
async def test_the_demonstration_is_proven(demo, key):
    """One plain function, one endpoint behind a real socket."""
    assert await prove.prove(catalogue.find(key)) == []


def test_main_prints_a_line_for_each_exercise(demo, capsys, monkeypatch, tmp_path):
    """The report is short and the exit status is 0."""
    monkeypatch.setattr(exercises, "__path__", exercises.__path__[-1:])
    assert prove.main(tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    line = "98.1 Drop the oldest  stub not done · 3 wrong refused · solution passes"
    assert lines[0] == line
    assert lines[-1] == "2 exercises, 0 with gaps"


async def gaps_of(**changes) -> str:
    """Return the gaps of a changed copy of 98.1."""
    whole = catalogue.find("98.1")
    copy = replace(
        whole, **{name: changes.pop(name) for name in ("hints", "title") if name in changes}
    )
    copy.answer, copy.run_check, copy.wrongs = whole.answer, whole.run_check, list(whole.wrongs)
    for name, value in changes.items():
        setattr(copy, name, value)
    return "\n".join(await prove.prove(copy))


async def accept_everything(put):
    """Check nothing."""


async def refuse_everything(put):
    """Refuse without a look."""
    raise AssertionError("no")


async def test_too_few_wrong_answers_are_a_gap(demo):
    """Three mistakes at least."""
    assert "2 wrong answers" in await gaps_of(wrongs=catalogue.find("98.1").wrongs[:2])


async def test_empty_hints_are_a_gap(demo):
    """A hint says something."""
    assert "hints" in await gaps_of(hints=("one", " "))
    assert "hints" in await gaps_of(hints=("one",))


async def test_a_check_that_accepts_everything_is_found(demo):
    """Each wrong answer that passes is named."""
    found = await gaps_of(run_check=accept_everything)
    assert "drops_the_newest is not refused: ✓" in found


async def test_a_check_that_refuses_the_solution_is_found(demo):
    """The solution must pass."""
    assert "the solution is refused: ✗ 98.1 no" in await gaps_of(run_check=refuse_everything)


async def test_messages_that_are_the_same_for_two_mistakes_are_found(demo):
    """A message must fit its mistake."""
    assert "hear the same" in await gaps_of(
        run_check=refuse_everything,
        wrongs=[replace(wrong, refused="no") for wrong in catalogue.find("98.1").wrongs],
    )


async def test_a_message_that_does_not_fit_is_found(demo):
    """The fragment that the author promised must be there."""
    wrongs = catalogue.find("98.1").wrongs
    found = await gaps_of(wrongs=[replace(wrongs[0], refused="a unicorn"), *wrongs[1:]])
    assert "drops_the_newest should hear 'a unicorn'" in found


def test_main_names_what_is_misplaced_in_a_notebook(demo, capsys, monkeypatch, notebook, write):
    """A stub that drifted from its solution is a gap."""
    monkeypatch.setattr(exercises, "__path__", exercises.__path__[-1:])
    path = write(notebook(**{"stub-drop": "def put(): ..."}))
    assert prove.main(path.parent) == 1
    assert "98_tools.ipynb  GAP 98.1: 0 cells hold its stub" in capsys.readouterr().out
