"""Proves every exercise: stub not done, each wrong answer refused, solution passed."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from labkit.workbench.exercises import catalogue, placement, source
from labkit.workbench.exercises.judge import State, judge
from labkit.workbench.notebooks import cells

if TYPE_CHECKING:
    from pathlib import Path

    from labkit.workbench.exercises.engine import Exercise

START, END = "<!-- exercises -->", "<!-- /exercises -->"
WRONG_AT_LEAST = 3
HINTS_AT_LEAST = 2


def written(exercise: Exercise[Any], text: str) -> source.Thing:
    """Return what a learner has after running a cell with `text`."""
    namespace = vars(sys.modules[exercise.answer.__module__])
    return source.compiled(text, exercise.name, f"<cell of {exercise.key}>", namespace)


async def prove(exercise: Exercise[Any]) -> list[str]:
    """Return the gaps of one exercise, as sentences; none when it is proven."""
    gaps = _shape(exercise)
    stub = await judge(exercise, written(exercise, exercise.stub_text))
    if stub.state is not State.NOT_DONE:
        gaps.append(f"the stub is not recognised: {stub}")
    solved = await judge(exercise, written(exercise, exercise.solution_text))
    if solved.state is not State.PASSED:
        gaps.append(f"the solution is refused: {solved}")
    said: dict[str, str] = {}
    for wrong in exercise.wrongs:
        outcome = await judge(exercise, wrong.answer)
        if outcome.state is not State.REFUSED:
            gaps.append(f"{wrong.name} is not refused: {outcome}")
        elif wrong.refused not in outcome.text:
            gaps.append(f"{wrong.name} should hear {wrong.refused!r}, and hears: {outcome.text}")
        elif outcome.text in said:
            gaps.append(f"{wrong.name} and {said[outcome.text]} hear the same: {outcome.text}")
        said[outcome.text] = wrong.name
    return gaps


def _shape(exercise: Exercise[Any]) -> list[str]:
    gaps = []
    if len(exercise.wrongs) < WRONG_AT_LEAST:
        gaps.append(f"{len(exercise.wrongs)} wrong answers, at least {WRONG_AT_LEAST} are needed")
    if len(exercise.hints) < HINTS_AT_LEAST or not all(hint.strip() for hint in exercise.hints):
        gaps.append(f"at least {HINTS_AT_LEAST} hints are needed, none of them empty")
    if not exercise.title.strip():
        gaps.append("the title is empty")
    return gaps


def line(exercise: Exercise[Any], gaps: list[str]) -> str:
    """Return the line of one exercise in the report."""
    if gaps:
        return "\n".join(f"{exercise.key} {exercise.title}  GAP {gap}" for gap in gaps)
    refused = f"{len(exercise.wrongs)} wrong refused"
    return f"{exercise.key} {exercise.title}  stub not done · {refused} · solution passes"


def summary() -> str:
    """Return the Markdown between the README's markers, the markers included."""
    found = list(map(catalogue.find, catalogue.keys()))
    rows = [f"| {each.key} {each.title} | {len(each.wrongs)} |" for each in found]
    head = "| Exercise | Wrong answers, each refused for its own reason |\n|---|---|"
    return "\n".join([START, head, *rows, END])


def main(folder: Path = cells.FOLDER) -> int:
    """Print a line for each exercise, and what is misplaced in notebooks; return 1 for gaps."""
    failed = 0
    keys = catalogue.keys()
    for key in keys:
        exercise = catalogue.find(key)
        gaps = asyncio.run(prove(exercise))
        failed += bool(gaps)
        print(line(exercise, gaps), flush=True)
    misplaced = [
        f"{path.name}  GAP {gap}"
        for path in cells.find(folder)
        for gap in placement.gaps(cells.read(path), cells.chapter_of(path))
    ]
    print(*misplaced, f"{len(keys)} exercises, {failed} with gaps", sep="\n")
    return 1 if failed or misplaced else 0
