"""What a notebook calls: check, hint, solution, answer, progress. None of them raises."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TypeVar

import labkit
from labkit.workbench.exercises import catalogue
from labkit.workbench.exercises.judge import Outcome, State, judge
from labkit.workbench.exercises.store import Store, open_store
from labkit.workbench.exercises.strip import Strip

Own = TypeVar("Own")
TRIES = 3  # after so many, the solution opens by itself
_passed: dict[str, object] = {}  # the very functions that passed in this kernel


@cache
def _store() -> Store:
    return open_store()


async def check(key: str, answer: object) -> None:
    """Print one line: not done yet, refused and why, or passed.

    Runs against real sockets, with a deadline. A busy loop without an `await` cannot be cut:
    interrupt the kernel.
    """
    try:
        exercise = catalogue.find(key)
    except catalogue.UnknownExerciseError as error:
        print(error)
        return
    outcome = await judge(exercise, answer)
    _remember(outcome, answer)
    print(outcome)
    _say(_store().notice, _stale())
    _store().notice = ""


def hint(key: str, number: int | None = None) -> None:
    """Print the next hint, or the one with this number (from 1)."""
    try:
        exercise = catalogue.find(key)
    except catalogue.UnknownExerciseError as error:
        print(error)
        return
    last = len(exercise.hints)
    record = _store()[key]
    number = min(record.hints + 1, last) if number is None else min(max(number, 1), last)
    record.hints = max(record.hints, number)
    _store().save(key)
    rest = f'again for the next one: hint("{key}")' if number < last else "this was the last one"
    print(f"hint {number} of {last}: {exercise.hints[number - 1]}\n({rest})")


def solution(key: str, *, now: bool = False) -> None:
    """Print one way to do it: after a pass or three tries, or at once with `now=True`."""
    try:
        exercise = catalogue.find(key)
    except catalogue.UnknownExerciseError as error:
        print(error)
        return
    record = _store()[key]
    if now or record.passed or record.tries >= TRIES:
        print(exercise.solution_text)
        return
    tries = f"{record.tries} of {TRIES} tries"
    print(
        f'{key} opens when it passes, or after {TRIES} tries ({tries}): solution("{key}", now=True)'
    )


def answer(key: str, own: Own) -> Own:
    """Return the learner's `own` version if it passed in this kernel, else the solution.

    Raises:
        UnknownExerciseError: there is no such exercise.
    """
    if key in _passed and _passed[key] is own:
        return own
    solved: Own = catalogue.find(key).answer
    return solved


def progress(chapter: int) -> Strip:
    """Return the strip of a chapter's exercises: what passed, what was tried."""
    rows = []
    for key in catalogue.keys(chapter):
        record = _store()[key]
        state = State.PASSED if record.passed else State.REFUSED if record.tries else State.NOT_DONE
        rows.append((state, key, catalogue.find(key).title))
    return Strip(chapter, tuple(rows))


def _remember(outcome: Outcome, own: object) -> None:
    if not outcome.attempt:
        return
    record = _store()[outcome.key]
    record.tries += 1
    if outcome.state is State.PASSED:
        record.passed = True
        _passed[outcome.key] = own
    _store().save(outcome.key)


def _stale() -> str:
    """Say when the package on disk is not the one that this kernel has loaded."""
    text = Path(labkit.__file__).read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, flags=re.MULTILINE)
    if found is None or found[1] == labkit.__version__:
        return ""
    return (
        f"labkit {found[1]} is installed, this kernel runs {labkit.__version__}: restart the kernel"
    )


def _say(*sentences: str) -> None:
    for sentence in filter(None, sentences):
        print(sentence)


def forget() -> None:
    """Start anew, as a fresh kernel does; what the file holds stays."""
    _store.cache_clear()
    _passed.clear()
