"""What happens to several clients at once, in one line that is the same on every run.

A scene that is expected to succeed waits for its last message; a scene that is expected to get
stuck waits a moment for more, and says only *that* it is stuck, not after how many messages.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from labkit.testing.clients import (
    Closed,
    Disconnected,
    Silence,
    SSEClient,
    WebSocketClient,
)
from labkit.testing.waiting import PATIENCE_S

MOMENT_S = 0.3


@dataclass(frozen=True)
class Heard:
    """What one client got: its messages, and how its connection ended if it did.

    Attributes:
        name: the client's.
        messages: decoded from JSON where they are JSON.
        expected: how many should have come; None when nobody said.
        closed: how a WebSocket ended.
        ending: the end in words; empty as long as the connection is open.
    """

    name: str
    messages: list[Any]
    expected: int | None = None
    closed: Closed | None = None
    ending: str = ""

    @property
    def complete(self) -> bool:
        """Whether everything expected came, in the order in which it was sent."""
        numbers = [m["n"] for m in self.messages if isinstance(m, dict) and "n" in m]
        return len(self.messages) == self.expected and numbers == sorted(numbers)

    def __str__(self) -> str:
        count = len(self.messages)
        if self.complete or self.expected is None:
            said = f"{self.name} {count}" + (" in order" if self.complete and count > 1 else "")
        else:
            said = f"{self.name} {'stopped early' if count else 'nothing'}"
        return f"{said}, {self.ending}" if self.ending else said


class Audience(tuple[Heard, ...]):
    """What each client got, in the order in which the clients were named."""

    __slots__ = ()

    def __getitem__(self, name: Any) -> Any:  # noqa: ANN401 - by name here, by index as a tuple
        if isinstance(name, str):
            return next(heard for heard in self if heard.name == name)
        return super().__getitem__(name)

    def __repr__(self) -> str:
        return " · ".join(map(str, self))


async def received(
    *clients: WebSocketClient | SSEClient,
    expected: int | None = None,
    patience_s: float | None = None,
) -> Audience:
    """Collect what the clients have got.

    Args:
        clients: what they heard before is not counted again.
        expected: wait until each has so many messages. None takes what is there.
        patience_s: seconds of silence after which a client counts as stopped.
    """
    wait_s = patience_s or (MOMENT_S if expected is None else PATIENCE_S)
    return Audience(await asyncio.gather(*(_hear(each, expected, wait_s) for each in clients)))


async def _hear(
    client: WebSocketClient | SSEClient, expected: int | None, patience_s: float
) -> Heard:
    messages: list[Any] = []
    try:
        while expected is None or len(messages) < expected:
            if isinstance(client, SSEClient):
                text: str | bytes = (await client.next(timeout_s=patience_s)).data
            else:
                text = await client.receive(timeout_s=patience_s)
            messages.append(readable(text))
    except Silence:
        pass
    except Disconnected:
        return await _ended(client, messages, expected)
    return Heard(client.name, messages, expected)


async def _ended(
    client: WebSocketClient | SSEClient, messages: list[Any], expected: int | None
) -> Heard:
    if isinstance(client, SSEClient):
        ending = "the stream ended" if await client.closed() else "the stream broke off"
        return Heard(client.name, messages, expected, None, ending)
    closed = await client.closed()
    ending = f"closed {closed.code} {closed.reason}".rstrip()
    return Heard(client.name, messages, expected, closed, ending)


def readable(message: str | bytes) -> Any:  # noqa: ANN401 - JSON, or what came instead
    """Decode a message from JSON, or return it as it is."""
    try:
        return json.loads(message)
    except ValueError:
        return message


@dataclass
class Flood:
    """A publisher at work; `stuck` when it waits for somebody who does not read."""

    count: int
    task: asyncio.Task[None]
    published: int = 0
    stuck: bool = field(default=False, init=False)

    def __repr__(self) -> str:
        return "the publisher is stuck" if self.stuck else f"{self.published} published"

    async def aclose(self) -> None:
        """End the publisher if it still waits."""
        self.task.cancel()
        await asyncio.wait({self.task})


async def flood(
    publish: Callable[[int], Any], *, count: int = 200, stuck_after_s: float = MOMENT_S
) -> Flood:
    """Call `publish(n)` for each n below `count`, and await what it returns if it must be.

    Args:
        publish: sends one message; may be a coroutine function.
        count: how many times.
        stuck_after_s: seconds without progress after which it counts as stuck. It is not
            cancelled then: `aclose` ends it.
    """

    async def run() -> None:
        for n in range(count):
            result = publish(n)
            if inspect.isawaitable(result):
                await result
            await asyncio.sleep(0)  # an await that does not suspend lets nobody else run
            running.published += 1

    running = Flood(count, asyncio.ensure_future(run()))
    before = -1
    while not running.task.done() and running.published > before:
        before = running.published
        await asyncio.wait({running.task}, timeout=stuck_after_s)
    running.stuck = not running.task.done()
    if not running.stuck:
        running.task.result()
    return running
