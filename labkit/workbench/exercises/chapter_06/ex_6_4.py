"""Exercise 6.4: exactly one probe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import httpx

from labkit.resilience import CircuitOpenError
from labkit.testing.flaky import Flaky, Mood
from labkit.workbench.exercises.engine import Exercise, expect_equal

Call = Callable[[], Awaitable[Any]]


class HalfOpen(Protocol):
    """What the learner writes."""

    state: str
    probing: bool

    async def call(self, function: Call) -> Any:
        """Let one call through."""


exercise = Exercise[Callable[[], HalfOpen]](
    "6.4",
    title="exactly one probe",
    hints=(
        "Look and take in one go: no `await` between the `if` and the line that sets `probing`.",
        "`finally` gives the probe back, whatever happened: success, failure, cancellation.",
        "The state changes in two places only: a result closes, a ConnectionError opens.",
    ),
)


@exercise.solution
class OneProbe:
    """A breaker that is half-open: one call may find out, the others are refused."""

    def __init__(self) -> None:
        """Begin half-open, with nobody on the way."""
        self.state = "half-open"
        self.probing = False

    async def call(self, function: Callable[[], Any]) -> Any:
        """Let one call through and learn from it: a result closes, a ConnectionError opens."""
        if self.state == "open":
            raise CircuitOpenError("rates", 1)
        # hole: one at a time while half-open, the others are refused; no verdict, no change
        if self.state == "half-open" and self.probing:
            raise CircuitOpenError("rates", 1)
        self.probing = True
        try:
            result = await function()
        except ConnectionError:
            self.state = "open"
            raise
        finally:
            self.probing = False
        self.state = "closed"
        return result
        # end


class _Base:
    def __init__(self) -> None:
        self.state = "half-open"
        self.probing = False

    def _refuse(self) -> None:
        if self.state == "open" or (self.state == "half-open" and self.probing):
            raise CircuitOpenError("rates", 1)


@exercise.wrong("a herd, not a probe")
class LetsTheHerdThrough(_Base):
    """Do as the guide's package does: half-open lets everyone through."""

    async def call(self, function: Call) -> Any:
        """Look at the state, and at nothing else."""
        if self.state == "open":
            raise CircuitOpenError("rates", 1)
        try:
            result = await function()
        except ConnectionError:
            self.state = "open"
            raise
        self.state = "closed"
        return result


@exercise.wrong("a cancelled call says nothing: the state must stay")
class TakesACancelForASuccess(_Base):
    """Close unless a named error came."""

    async def call(self, function: Call) -> Any:
        """Decide in `finally`."""
        self._refuse()
        self.probing, state = True, "closed"
        try:
            return await function()
        except ConnectionError:
            state = "open"
            raise
        finally:
            self.probing, self.state = False, state


@exercise.wrong("the probe was not given back")
class KeepsTheProbe(_Base):
    """Give the probe back only after a verdict."""

    async def call(self, function: Call) -> Any:
        """Forget the third way out."""
        self._refuse()
        self.probing = True
        try:
            result = await function()
        except ConnectionError:
            self.probing, self.state = False, "open"
            raise
        self.probing, self.state = False, "closed"
        return result


@exercise.wrong("a bug of the caller")
class BlamesTheService(_Base):
    """Open for any error."""

    async def call(self, function: Call) -> Any:
        """Catch too much."""
        self._refuse()
        self.probing = True
        try:
            result = await function()
        except Exception:
            self.state = "open"
            raise
        finally:
            self.probing = False
        self.state = "closed"
        return result


@exercise.check
async def check(make: Callable[[], HalfOpen]) -> None:
    """Fifty callers at a real service; then a failure, a cancellation and a bug."""
    async with Flaky() as service, httpx.AsyncClient(timeout=5, trust_env=False) as http:

        async def ask() -> Any:
            try:
                return (await http.get(service.url)).json()
            except httpx.TransportError as error:
                raise ConnectionError("rates") from error

        probe = make()
        kinds = await asyncio.gather(*(_outcome(probe.call(ask)) for _ in range(50)))
        given = "50 callers at once"
        because = "that is a herd, not a probe"
        expect_equal(service.calls, 1, given=given, because=because)
        because = "the other 49 are refused at once"
        expect_equal(kinds.count("CircuitOpenError"), 49, given=given, because=because)
        expect_equal(probe.state, "closed", given="a probe that is answered", because="it is back")
        kinds = await asyncio.gather(*(_outcome(probe.call(ask)) for _ in range(3)))
        because = "closed means that everyone may call"
        expect_equal(kinds, ["dict"] * 3, given="three calls after that", because=because)
        service.mood, probe = Mood.DIE, make()
        await _outcome(probe.call(ask))
        expect_equal(probe.state, "open", given="a probe that fails", because="it is still down")
    await _without_verdict(make)


async def _without_verdict(make: Callable[[], HalfOpen]) -> None:
    probe = make()
    task = asyncio.ensure_future(probe.call(asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=2)
    given = "a probe that is cancelled"
    because = "a cancelled call says nothing: the state must stay"
    expect_equal(probe.state, "half-open", given=given, because=because)
    because = "the probe was not given back: nobody will ever find out"
    expect_equal(await _outcome(probe.call(_answer)), "str", given=given, because=because)
    probe = make()
    await _outcome(probe.call(_bug))
    because = "a bug of the caller says nothing about the service"
    expect_equal(probe.state, "half-open", given="a call that raises KeyError", because=because)


async def _answer() -> str:
    return "answer"


async def _bug() -> None:
    raise KeyError("ours")


async def _outcome(call: Awaitable[Any]) -> str:
    try:
        return type(await call).__name__
    except Exception as error:
        return type(error).__name__
