"""Exercise 2.4: one sweep for all."""

from __future__ import annotations

from collections.abc import Callable

from labkit.testing.clock import ManualClock
from labkit.workbench.exercises.engine import Exercise, expect_equal

Sweep = Callable[[dict[str, float], float, float, float], tuple[list[str], list[str]]]

exercise = Exercise[Sweep](
    "2.4",
    title="one sweep for all",
    hints=(
        "For each connection only one number matters: `now - last_seen[name]`.",
        "A connection that is closed does not get a ping as well.",
        "At exactly `interval` seconds it is time to ping, at exactly `timeout` to close.",
    ),
)


@exercise.solution
def sweep(
    last_seen: dict[str, float], now: float, interval: float, timeout: float
) -> tuple[list[str], list[str]]:
    """Return whom to ping and whom to close, each list sorted. Seconds of one clock."""
    # hole: silent for `timeout`: close. Silent for `interval`: ping. Others: nothing
    ping, close = [], []
    for name, seen in sorted(last_seen.items()):
        silence = now - seen
        if silence >= timeout:
            close.append(name)
        elif silence >= interval:
            ping.append(name)
    return ping, close
    # end


@exercise.wrong("a connection that is closed needs no ping")
def pings_the_closed(
    last_seen: dict[str, float], now: float, interval: float, timeout: float
) -> tuple[list[str], list[str]]:
    """Ask the two questions without `elif`."""
    silent = sorted(last_seen)
    return (
        [name for name in silent if now - last_seen[name] >= interval],
        [name for name in silent if now - last_seen[name] >= timeout],
    )


@exercise.wrong("someone who just spoke needs no ping")
def pings_everyone(
    last_seen: dict[str, float], now: float, interval: float, timeout: float
) -> tuple[list[str], list[str]]:
    """Ping whoever is not closed."""
    close = sorted(name for name in last_seen if now - last_seen[name] >= timeout)
    return sorted(set(last_seen) - set(close)), close


@exercise.wrong("the timeout counts from the last word")
def adds_interval_and_timeout(
    last_seen: dict[str, float], now: float, interval: float, timeout: float
) -> tuple[list[str], list[str]]:
    """Give a timeout after the ping instead of after the last word."""
    ping, close = [], []
    for name, seen in sorted(last_seen.items()):
        if now - seen >= interval + timeout:
            close.append(name)
        elif now - seen >= interval:
            ping.append(name)
    return ping, close


@exercise.wrong("at the very second")
def later_than(
    last_seen: dict[str, float], now: float, interval: float, timeout: float
) -> tuple[list[str], list[str]]:
    """Compare with `>`: a sweep of exactly the interval then finds nobody."""
    ping, close = [], []
    for name, seen in sorted(last_seen.items()):
        if now - seen > timeout:
            close.append(name)
        elif now - seen > interval:
            ping.append(name)
    return ping, close


@exercise.check
async def check(sweep: Sweep) -> None:
    """Four connections, and a clock that the check moves."""
    clock = ManualClock(1000.0)
    last_seen = {"ada": clock()}
    clock.advance(30)
    last_seen["bob"] = clock()
    clock.advance(5)
    last_seen["cleo"] = clock()
    clock.advance(25)
    last_seen["dan"] = clock()
    given = "silent for ada 60 s, bob 30 s, cleo 25 s, dan 0 s; ping at 25, close at 60"
    ping, close = sweep(dict(last_seen), clock(), 25, 60)
    if "dan" in ping:
        because = "someone who just spoke needs no ping"
        expect_equal(ping, ["bob", "cleo"], given=given, because=because)
    if "ada" in ping and "ada" in close:
        because = "a connection that is closed needs no ping"
        expect_equal(ping, ["bob", "cleo"], given=given, because=because)
    if "bob" in ping and "cleo" not in ping:
        because = "at the very second it is time"
        expect_equal(ping, ["bob", "cleo"], given=given, because=because)
    because = "the timeout counts from the last word"
    expect_equal(close, ["ada"], given=given, because=because)
    expect_equal(ping, ["bob", "cleo"], given=given, because="ping the silent, sorted")
    expect_equal(sweep({}, 0, 25, 60), ([], []), given="nobody", because="nobody is nobody")
