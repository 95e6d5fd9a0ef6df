"""Exercise 11.3: prove that nothing came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from labkit.testing.clients import Silence, WebSocketClient
from labkit.workbench.exercises.chapter_11.trial import noticed, sound
from labkit.workbench.exercises.engine import Exercise, expect
from labkit.workbench.mutants import EveryoneHears
from labkit.workbench.room import Room

Test = Callable[[Any], Awaitable[None]]

exercise = Exercise[Test](
    "11.3",
    title="prove that nothing came",
    hints=(
        "The connection keeps its order. What would have come before the answer to a ping?",
        'Let Bob send `{"type": "ping"}` after the publish.',
        '`*before, pong = await bob.receive_until("pong")`: what must `before` be?',
    ),
)


@exercise.solution
async def test_nobody_else_hears_it(room: Room) -> None:
    """Who listens to sport hears no news; and it takes no time to prove it."""
    await room.join("ada", "news")
    bob = await room.join("bob", "sport")
    # hole: publish news, and show that Bob got nothing, without waiting for nothing
    room.publish("news", n=1)
    await bob.send({"type": "ping"})
    *before, _pong = await bob.receive_until("pong")
    assert before == []
    # end


@exercise.wrong("it waits until nothing has come")
async def waits_for_nothing(room: Room) -> None:
    """Wait a moment for what must not come."""
    await room.join("ada", "news")
    bob = await room.join("bob", "sport")
    room.publish("news", n=1)
    with suppress(Silence):
        await bob.receive(timeout_s=0.2)
        raise AssertionError("bob heard it")


@exercise.wrong("survives your test")
async def asks_only_ada(room: Room) -> None:
    """Look at the one who should hear it."""
    ada = await room.join("ada", "news")
    await room.join("bob", "sport")
    room.publish("news", n=1)
    assert (await ada.receive_json())["n"] == 1


@exercise.wrong("the correct server fails it")
async def expects_too_much(room: Room) -> None:
    """Expect an event where there must be none."""
    bob = await room.join("bob", "sport")
    room.publish("news", n=1)
    await bob.send({"type": "ping"})
    assert (await bob.receive_json())["type"] == "event"


@exercise.wrong("a server that sends nothing at all passes as well")
async def publishes_nothing(room: Room) -> None:
    """Ask before anything was published."""
    bob = await room.join("bob", "sport")
    await bob.send({"type": "ping"})
    *before, _ = await bob.receive_until("pong")
    assert before == []
    # nothing was published


class _Watched(Room):
    """The correct server; it counts waits that end in silence, and what is published."""

    def __init__(self) -> None:
        super().__init__()
        self.silences = self.published = 0

    async def join(self, name: str = "ada", *topics: str) -> WebSocketClient:
        client = await super().join(name, *topics)
        receive = client.receive

        async def counted(*, timeout_s: float | None = None) -> str | bytes:
            try:
                return await receive(timeout_s=timeout_s)
            except Silence:
                self.silences += 1
                raise

        client.receive = counted  # type: ignore[method-assign]
        return client

    def publish(self, topic: str, **fields: Any) -> None:
        self.published += 1
        super().publish(topic, **fields)


@exercise.check
async def check(test: Test) -> None:
    """The correct server, watched, then one on which everyone hears everything."""
    room = _Watched()
    await sound(test, room)
    because = "it waits until nothing has come: a thousand such tests take minutes"
    expect(not room.silences, given="a correct server", got="a silence", because=because)
    because = "a server that sends nothing at all passes as well: publish, before you ask"
    expect(room.published > 0, given="a correct server", got="no publish", because=because)
    await noticed(test, EveryoneHears())
