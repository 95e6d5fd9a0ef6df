"""Exercise 12.1: refuse to start."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress

from labkit.workbench.exercises.engine import Exercise, Refused, expect_equal

Read = Callable[[Mapping[str, str]], tuple[int, float]]

exercise = Exercise[Read](
    "12.1",
    title="refuse to start",
    hints=(
        "`int(text)` and `float(text)` raise ValueError, and their words do not name the variable.",
        "Collect what is wrong in a list, and raise once, at the end.",
        "`nan` is a float, and every comparison with it is false: ask `0 < ping_s <= 55`.",
    ),
)


@exercise.solution
def read_settings(environ: Mapping[str, str]) -> tuple[int, float]:
    """Return MAX_CONNECTIONS (1 to 100000) and PING_S (above 0, up to 55), or name what is wrong.

    One that is not set has its default: 1000, and 20.
    """
    # hole: one ValueError that names every variable whose value is no number in its range
    wrong, connections, ping_s = [], 0, 0.0
    with suppress(ValueError):
        connections = int(environ.get("MAX_CONNECTIONS", "1000"))
    if not 1 <= connections <= 100_000:
        wrong.append("MAX_CONNECTIONS must be 1 to 100000")
    with suppress(ValueError):
        ping_s = float(environ.get("PING_S", "20"))
    if not 0 < ping_s <= 55:
        wrong.append("PING_S must be above 0, and at most 55")
    if wrong:
        raise ValueError("; ".join(wrong))
    return connections, ping_s
    # end


@exercise.wrong("does not name MAX_CONNECTIONS")
def trusts_int(environ: Mapping[str, str]) -> tuple[int, float]:
    """Let `int` and `float` complain."""
    return int(environ.get("MAX_CONNECTIONS", "1000")), float(environ.get("PING_S", "20"))


@exercise.wrong("a number, and nothing can work with it")
def no_range(environ: Mapping[str, str]) -> tuple[int, float]:
    """Ask whether it is a number, and no more."""
    try:
        connections = int(environ.get("MAX_CONNECTIONS", "1000"))
    except ValueError:
        raise ValueError("MAX_CONNECTIONS must be a number") from None
    try:
        return connections, float(environ.get("PING_S", "20"))
    except ValueError:
        raise ValueError("PING_S must be a number") from None


@exercise.wrong("whoever set it believes that it counts")
def falls_back(environ: Mapping[str, str]) -> tuple[int, float]:
    """Use the default instead of what is wrong."""
    connections = environ.get("MAX_CONNECTIONS", "")
    try:
        ping_s = float(environ.get("PING_S", "20"))
    except ValueError:
        ping_s = 20.0
    return int(connections) if connections.isdecimal() else 1000, ping_s


@exercise.wrong("a comparison with nan is false")
def lets_nan_through(environ: Mapping[str, str]) -> tuple[int, float]:
    """Look for what is out of range."""
    try:
        connections = int(environ.get("MAX_CONNECTIONS", "1000"))
    except ValueError:
        connections = 0
    try:
        ping_s = float(environ.get("PING_S", "20"))
    except ValueError:
        ping_s = 0.0
    wrong = ["MAX_CONNECTIONS"] if connections < 1 or connections > 100_000 else []
    wrong += ["PING_S"] if ping_s <= 0 or ping_s > 55 else []
    if wrong:
        raise ValueError(f"out of range: {', '.join(wrong)}")
    return connections, ping_s


@exercise.wrong("the next start fails again")
def one_at_a_time(environ: Mapping[str, str]) -> tuple[int, float]:
    """Stop at the first."""
    try:
        connections = int(environ.get("MAX_CONNECTIONS", "1000"))
    except ValueError:
        connections = 0
    if not 1 <= connections <= 100_000:
        raise ValueError("MAX_CONNECTIONS must be 1 to 100000")
    try:
        ping_s = float(environ.get("PING_S", "20"))
    except ValueError:
        ping_s = math.nan
    if not 0 < ping_s <= 55:
        raise ValueError("PING_S must be above 0, and at most 55")
    return connections, ping_s


BECAUSE = {
    "": "an empty text is no number: whoever set it believes that it counts",
    "zero": "this is no number: whoever set it believes that it counts",
    "-5": "it is a number, and nothing can work with it",
    "1e9": "it is a number, and nothing can work with it",
    "nan": "a comparison with nan is false",
}


@exercise.check
async def check(read_settings: Read) -> None:
    """Defaults, good values, and what a shell gives when something is mistyped."""
    given = "nothing set"
    expect_equal(read_settings({}), (1000, 20.0), given=given, because="these are the defaults")
    given = "MAX_CONNECTIONS=2 PING_S=0.5"
    good = {"MAX_CONNECTIONS": "2", "PING_S": "0.5"}
    expect_equal(read_settings(good), (2, 0.5), given=given, because="these are good")
    for name in ("MAX_CONNECTIONS", "PING_S"):
        for value in ("zero", "-5", "", *(("nan",) if name == "PING_S" else ())):
            _must_name({name: value}, [name], read_settings, BECAUSE[value])
    because = "only the first is named: the next start fails again"
    both = {"MAX_CONNECTIONS": "-1", "PING_S": "60"}
    _must_name(both, list(both), read_settings, because)


def _must_name(
    environ: Mapping[str, str], names: list[str], read_settings: Read, because: str
) -> None:
    given = " ".join(f"{name}={value!r}" for name, value in environ.items())
    try:
        got = read_settings(environ)
    except ValueError as error:
        missing = [name for name in names if name not in str(error)]
        if missing:
            words = because if len(names) > 1 else f"the message does not name {missing[0]}"
            raise Refused(given=given, got=repr(error), because=words) from error
    else:
        raise Refused(given=given, got=got, because=because)
