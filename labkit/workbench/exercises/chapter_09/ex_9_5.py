"""Exercise 9.5: find the gap."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labkit.messaging import Follower
from labkit.sse import Position
from labkit.workbench.exercises.engine import Exercise, expect_equal

Read = Callable[[Any, Any], str]

exercise = Exercise[Read](
    "9.5",
    title="find the gap",
    hints=(
        "A position has an `epoch` and an `offset`. Numbers of two epochs cannot be compared.",
        "The next one has `last.offset + 1`. What is not greater than the last, you have.",
        "Everything else is proof that something is missing.",
    ),
)


@exercise.solution
def read(last: Any, heard: Any) -> str:
    """Say what a message at `heard` is after one at `last`: "next", "again" or "gap"."""
    # hole: compare epochs, then offsets
    if heard.epoch != last.epoch:
        return "gap"
    if heard.offset <= last.offset:
        return "again"
    return "next" if heard.offset == last.offset + 1 else "gap"
    # end


@exercise.wrong("something is missing between them")
def anything_greater_is_next(last: Any, heard: Any) -> str:
    """Be glad of progress."""
    if heard.epoch != last.epoch:
        return "gap"
    return "next" if heard.offset > last.offset else "again"


@exercise.wrong("of another epoch says nothing")
def compares_the_numbers_alone(last: Any, heard: Any) -> str:
    """Leave the epoch out of it."""
    if heard.offset <= last.offset:
        return "again"
    return "next" if heard.offset == last.offset + 1 else "gap"


@exercise.wrong("you have that one already")
def everything_else_is_a_gap(last: Any, heard: Any) -> str:
    """Know two answers."""
    following = heard.epoch == last.epoch and heard.offset == last.offset + 1
    return "next" if following else "gap"


@exercise.wrong("of another epoch says nothing")
def greets_a_new_epoch(last: Any, heard: Any) -> str:
    """Take the first message of a restarted server for the next one."""
    if heard.epoch != last.epoch and heard.offset == 1:
        return "next"
    if heard.offset <= last.offset and heard.epoch == last.epoch:
        return "again"
    return "next" if heard == (last.epoch, last.offset + 1) else "gap"


@exercise.check
async def check(read: Read) -> None:
    """Five cases with names, then two hundred drawn by a fixed seed, against the room's own."""
    last = Position("a", 7)
    cases = (
        ("the next number", "a", 8, "next", "nothing lies between them"),
        ("a number twice as great", "a", 14, "gap", "something is missing between them"),
        ("the same number again", "a", 7, "again", "you have that one already"),
        ("a number of another epoch", "b", 3, "gap", "a number of another epoch says nothing"),
        ("the first of another epoch", "b", 1, "gap", "a number of another epoch says nothing"),
    )
    for given, epoch, offset, wanted, because in cases:
        expect_equal(read(last, Position(epoch, offset)), wanted, given=given, because=because)
    dice = random.Random(9)  # noqa: S311 - the same cases on every run
    for _ in range(200):
        last = Position(dice.choice("ab"), dice.randrange(9))
        heard = Position(dice.choice("ab"), dice.randrange(9))
        wanted = Follower(last).hear(str(heard)).value
        because = "the room's own follower says otherwise"
        expect_equal(read(last, heard), wanted, given=f"{last} then {heard}", because=because)
