"""Finds exercises: the file name is the key, so keys are unique and need no list."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
from typing import Any

from labkit.workbench import exercises
from labkit.workbench.exercises.engine import Exercise


class UnknownExerciseError(LookupError):
    """There is no such exercise; the message names those there are."""


def keys(chapter: int | None = None) -> list[str]:
    """List the keys of one chapter's exercises, or of all, in order."""
    found: list[tuple[int, int]] = []
    for package in pkgutil.iter_modules(exercises.__path__):
        if not re.fullmatch(r"chapter_\d\d", package.name):
            continue
        number = int(package.name.removeprefix("chapter_"))
        if chapter in {None, number}:
            parts = importlib.import_module(f"{exercises.__name__}.{package.name}").__path__
            names = [module.name for module in pkgutil.iter_modules(parts)]
            matches = [re.fullmatch(rf"ex_{number}_(\d+)", name) for name in names]
            found += [(number, int(match[1])) for match in matches if match]
    return [f"{number}.{exercise}" for number, exercise in sorted(found)]


def find(key: object) -> Exercise[Any]:
    """Return the exercise with this key.

    Raises:
        UnknownExerciseError: with one sentence that says which keys exist.
    """
    if not isinstance(key, str):
        raise UnknownExerciseError(f'write the number in quotes: "{key}"')
    known = keys()
    if key not in known:
        raise UnknownExerciseError(_unknown(key, known))
    chapter, _, number = key.partition(".")
    name = f"{exercises.__name__}.chapter_{int(chapter):02}.ex_{chapter}_{number}"
    found = importlib.import_module(name).exercise
    if not isinstance(found, Exercise) or found.key != key:
        raise TypeError(f"{name} must define `exercise = Exercise({key!r}, …)`")
    return found


def _unknown(key: str, known: list[str]) -> str:
    chapter = key.partition(".")[0]
    same = [other for other in known if other.partition(".")[0] == chapter]
    if same:
        rest = f"chapter {chapter} has {', '.join(same)}"
    else:
        close = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        rest = f"did you mean {close[0]}?" if close else "there are no exercises here"
    return f"there is no exercise {key}: {rest}"
