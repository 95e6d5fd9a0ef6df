"""Says in one sentence when the wrong kind of thing is handed to a check."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from labkit.workbench.exercises.engine import Exercise


def mistake(exercise: Exercise[Any], answer: object) -> str | None:
    """Return a sentence that names the mistake and its cure, or None when all is well."""
    name, call = exercise.name, f'await check("{exercise.key}", {exercise.name})'
    if answer is None:
        return f"`{name}` is None: run the cell that defines it, then this one again"
    if isinstance(answer, str):
        return f"that is a text: write {call}, without quotes around `{name}`"
    if inspect.iscoroutine(answer):
        answer.close()  # or Python warns that it was never awaited
        return f"`{name}` was called: write {call}, without brackets after `{name}`"
    if not callable(answer):
        return f"that is {_a(type(answer).__name__)}: write {call}"
    wanted, given = _kind(exercise.answer), _kind(answer)
    if wanted != given:
        return f"`{name}` must be {wanted}, and this is {given}"
    return _signature(exercise, answer)


def _kind(thing: object) -> str:
    if inspect.isclass(thing):
        return "a class"
    if inspect.isasyncgenfunction(thing):
        return "an async generator: `async def` with `yield`"
    if inspect.iscoroutinefunction(thing):
        return "a coroutine function: `async def`"
    if inspect.isgeneratorfunction(thing):
        return "a generator: `def` with `yield`"
    return "a plain function: `def`"


def _signature(exercise: Exercise[Any], answer: Callable[..., Any]) -> str | None:
    wanted = list(inspect.signature(exercise.answer).parameters)
    try:
        given = list(inspect.signature(answer).parameters)
    except (TypeError, ValueError):  # some built-ins have none
        return f"`{exercise.name}` must be written in Python, with ({', '.join(wanted)})"
    if wanted == given:
        return None
    return f"`{exercise.name}` takes ({', '.join(wanted)}), and yours takes ({', '.join(given)})"


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
