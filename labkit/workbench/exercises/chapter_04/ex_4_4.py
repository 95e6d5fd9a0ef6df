"""Exercise 4.4: who has left?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.workbench.exercises.engine import Exercise, expect_equal

Leave = Callable[[dict[str, set[Any]], str, Any], bool]

exercise = Exercise[Leave](
    "4.4",
    title="who has left?",
    hints=(
        "A user has left when the last of the user's connections has.",
        "A connection may be reported gone twice: by its handler and by a sweeper.",
        "A user without connections does not belong in `here`.",
    ),
)


@exercise.solution
def leave(here: dict[str, set[Any]], user: str, connection: Any) -> bool:
    """Take the connection out of `here`; return whether its user has left with it."""
    # hole: the last one counts, the second time does not, and nothing empty stays behind
    tabs = here.get(user, set())
    if connection not in tabs:
        return False
    tabs.discard(connection)
    if tabs:
        return False
    del here[user]
    return True
    # end


@exercise.wrong("she has another tab")
def every_tab(here: dict[str, set[Any]], user: str, connection: Any) -> bool:
    """Report each connection as a user."""
    here.get(user, set()).discard(connection)
    if not here.get(user):
        here.pop(user, None)
    return True


@exercise.wrong("gone twice is gone once")
def twice(here: dict[str, set[Any]], user: str, connection: Any) -> bool:
    """Say *left* of whoever is not there."""
    here.get(user, set()).discard(connection)
    if here.get(user):
        return False
    here.pop(user, None)
    return True


@exercise.wrong("it raised KeyError")
def raises(here: dict[str, set[Any]], user: str, connection: Any) -> bool:
    """Believe that each connection leaves once."""
    here[user].remove(connection)
    if here[user]:
        return False
    del here[user]
    return True


@exercise.wrong("an empty entry is still an entry")
def keeps_the_name(here: dict[str, set[Any]], user: str, connection: Any) -> bool:
    """Leave an empty set behind, for every user that ever was."""
    tabs = here.get(user, set())
    if connection not in tabs:
        return False
    tabs.discard(connection)
    return not tabs


@exercise.check
async def check(leave: Leave) -> None:
    """Ada has two tabs, Bob one."""
    here: dict[str, set[Any]] = {"ada": {1, 2}, "bob": {3}}
    given = "ada with two tabs, one of them closed"
    expect_equal(leave(here, "ada", 1), False, given=given, because="she has another tab")
    given = "the same tab reported once more"
    expect_equal(leave(here, "ada", 1), False, given=given, because="gone twice is gone once")
    given = "her last tab closed"
    expect_equal(leave(here, "ada", 2), True, given=given, because="that was the last one")
    because = "an empty entry is still an entry: one for every user that ever was"
    expect_equal(here, {"bob": {3}}, given=given, because=because)
    given = "her last tab reported once more"
    because = "gone twice is gone once"
    expect_equal(leave(here, "ada", 2), False, given=given, because=because)
