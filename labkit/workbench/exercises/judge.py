"""Judges one answer: not done, refused with a reason, or passed. Never raises."""

from __future__ import annotations

import asyncio
import re
import traceback
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from labkit.workbench.exercises import source
from labkit.workbench.exercises.engine import Refused
from labkit.workbench.exercises.handed import mistake

if TYPE_CHECKING:
    from labkit.workbench.exercises.engine import Exercise
    from labkit.workbench.exercises.source import Thing

GRACE_S = 2.0  # for a cancelled task to end
NOT_DONE = "not done yet: replace the `...`, run that cell, then this one again"


class State(StrEnum):
    """The three outcomes, by the sign that the learner sees."""

    NOT_DONE = "□"
    REFUSED = "✗"
    PASSED = "✓"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an answer; `attempt` is False when nothing was tried yet."""

    state: State
    key: str
    text: str
    attempt: bool = True

    def __str__(self) -> str:
        return f"{self.state} {self.key} {self.text}"


async def judge(exercise: Exercise[Any], answer: object) -> Outcome:
    """Run the check of `exercise` on `answer` within its deadline.

    A busy loop without an `await` cannot be cut: the loop that would cut it is the one it blocks.
    """
    if handed := mistake(exercise, answer):
        return Outcome(State.REFUSED, exercise.key, handed, attempt=False)
    assert callable(answer)
    if source.has_holes(answer):
        return Outcome(State.NOT_DONE, exercise.key, NOT_DONE, attempt=False)
    before = asyncio.all_tasks()
    text = await _verdict(exercise, answer)
    left = await _end_leftovers(asyncio.all_tasks() - before, source.filename_of(answer))
    if text == NOT_DONE:
        return Outcome(State.NOT_DONE, exercise.key, NOT_DONE, attempt=False)
    if text is None and left:
        text = f"it works, but leaves {left} running · await what you start, or use a task group"
    if text is not None:
        if "None" in text and source.returns(exercise.answer) and not source.returns(answer):
            text = f"{text} · did you forget `return`?"
        return Outcome(State.REFUSED, exercise.key, _one_line(text))
    return Outcome(State.PASSED, exercise.key, exercise.title)


async def _verdict(exercise: Exercise[Any], answer: Thing) -> str | None:
    """Return why the answer is refused, or None."""
    task = asyncio.create_task(_run(exercise, answer))
    task.add_done_callback(_take_note)
    try:
        await asyncio.wait({task}, timeout=exercise.timeout_s)
        if task.done():
            return None if (error := task.exception()) is None else _reason(error, answer)
    finally:
        task.cancel()  # also when the learner stops the cell
    await asyncio.wait({task}, timeout=GRACE_S)
    stuck = "" if task.done() else " and swallows its cancellation"
    return (
        f"no answer within {exercise.timeout_s:g} s{stuck} · look for an `await` that nothing ends"
    )


def _take_note(task: asyncio.Task[None]) -> None:
    """Look at the exception of an abandoned task, or asyncio complains in a later cell."""
    if not task.cancelled():
        task.exception()


async def _run(exercise: Exercise[Any], answer: Thing) -> None:
    try:
        await exercise.run_check(answer)
    except SystemExit as error:  # would end the kernel's loop
        raise RuntimeError("it called exit()") from error
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        raise RuntimeError("it raised CancelledError by itself") from error


async def _end_leftovers(tasks: set[asyncio.Task[Any]], filename: str | None) -> str:
    """Cancel tasks that run the learner's code, and say how many there were."""
    theirs = {task for task in tasks if not task.done() and _written_in(task, filename)}
    if theirs:
        # A task that is about to end by itself is not left behind.
        _, theirs = await asyncio.wait(theirs, timeout=0.1)
    for task in theirs:
        task.cancel()
    if theirs:
        await asyncio.wait(theirs, timeout=GRACE_S)
    return f"{len(theirs)} task{'s' * (len(theirs) > 1)}" if theirs else ""


def _written_in(task: asyncio.Task[Any], filename: str | None) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and code.co_filename == filename


def _reason(error: BaseException, answer: Thing) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
        frames += traceback.extract_tb(error.__traceback__)
    match error:
        case NotImplementedError():
            return NOT_DONE
        case Refused() | AssertionError() if str(error):
            return str(error)
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    own = [frame for frame in frames if frame.filename == source.filename_of(answer)]
    return f"it raised {said} · at `{own[-1].line}`" if own else said


def _one_line(text: str) -> str:
    """Keep to one line that is the same on every run: no addresses, no ports."""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)
    text = re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1", text)
    return " ".join(text.split())
