"""Exercise 10.4: two lights."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis

from labkit.testing.valkey import ValkeyServer
from labkit.workbench.exercises.engine import Exercise, expect_equal, scene

Ping = Callable[[], Awaitable[Any]]
Lights = Callable[[bool, bool, Ping], Awaitable[tuple[int, int]]]

BUDGET_S = 1.0

exercise = Exercise[Lights](
    "10.4",
    title="two lights",
    hints=(
        "`/livez` asks nobody: a process that can answer lives. Restarting it mends no Valkey.",
        "`/readyz` is 503 for each of three reasons.",
        "A service that hangs never answers: `async with asyncio.timeout(0.4):`.",
        "Whatever `ping` raises is a no. `Exception` includes TimeoutError.",
    ),
    timeout_s=5.0,
)


@exercise.solution
async def lights(draining: bool, full: bool, ping: Callable[..., Any]) -> tuple[int, int]:
    """Return the status of /livez and of /readyz; `await ping()` gets 0.4 s at most."""
    # hole: decide both; `ping` may raise, and may never answer
    reachable = True
    try:
        async with asyncio.timeout(0.4):
            await ping()
    except Exception:
        reachable = False
    ready = reachable and not draining and not full
    return 200, 200 if ready else 503
    # end


@exercise.wrong("restarted by their own probe")
async def one_light(draining: bool, full: bool, ping: Ping) -> tuple[int, int]:
    """Give both the same answer."""
    try:
        async with asyncio.timeout(0.4):
            await ping()
    except Exception:
        return 503, 503
    ready = 503 if draining or full else 200
    return 200, ready


@exercise.wrong("nobody waits for a probe for ever")
async def patient(draining: bool, full: bool, ping: Ping) -> tuple[int, int]:
    """Wait for the answer."""
    try:
        await ping()
    except Exception:
        return 200, 503
    return 200, 503 if draining or full else 200


@exercise.wrong("it has no place")
async def forgets_full(draining: bool, full: bool, ping: Ping) -> tuple[int, int]:
    """Look at what is broken, and not at what is used up."""
    with suppress(Exception):
        async with asyncio.timeout(0.4):
            await ping()
            return 200, 503 if draining else 200
    return 200, 503


@exercise.wrong("what was asked did not answer")
async def healthy(draining: bool, full: bool, ping: Ping) -> tuple[int, int]:
    """Say what the guide's check says, whatever happens."""
    return 200, 503 if draining or full else 200


@exercise.wrong("whatever it raises is a no")
async def lets_it_out(draining: bool, full: bool, ping: Ping) -> tuple[int, int]:
    """Catch the timeout, and nothing else."""
    try:
        async with asyncio.timeout(0.4):
            await ping()
    except TimeoutError:
        return 200, 503
    return 200, 503 if draining or full else 200


async def _ask(lights: Lights, given: str, draining: bool, full: bool, ping: Ping) -> Any:
    try:
        with scene(given, because="nobody waits for a probe for ever: 0.4 s"):
            async with asyncio.timeout(BUDGET_S):
                return await lights(draining, full, ping)
    except (OSError, RuntimeError, ValueError) as error:  # of redis: not a learner's
        because = "whatever it raises is a no"
        return expect_equal(type(error).__name__, "an answer", given=given, because=because)


@exercise.check
async def check(lights: Lights) -> None:
    """All states, with a real Valkey that answers, hangs, and is dead."""
    with ValkeyServer() as valkey:
        redis = Redis.from_url(valkey.url)

        async def ping() -> None:
            try:
                await redis.ping()
            except Exception as error:
                raise OSError("no Valkey") from error

        try:
            states = [
                ("all is well", False, False, (200, 200), "nothing is wrong"),
                ("a process that drains", True, False, (200, 503), "it leaves"),
                ("a process that is full", False, True, (200, 503), "it has no place"),
            ]
            for given, draining, full, wanted, because in states:
                got = await _ask(lights, given, draining, full, ping)
                expect_equal(got, wanted, given=given, because=because)
            valkey.pause()
            got = await _ask(lights, "Valkey hangs", False, False, ping)
            _judge(got, "Valkey hangs")
            valkey.resume()
            valkey.kill()
            got = await _ask(lights, "Valkey is dead", False, False, ping)
            _judge(got, "Valkey is dead")
        finally:
            await redis.aclose()


def _judge(got: object, given: str) -> None:
    live = got[0] if isinstance(got, tuple) else None
    because = (
        "restarted by their own probe, all processes would die of one Valkey"
        if live == 503
        else "what was asked did not answer"
    )
    expect_equal(got, (200, 503), given=given, because=because)
