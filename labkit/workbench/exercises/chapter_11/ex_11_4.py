"""Exercise 11.4: catch the ghost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from labkit.architecture import Connection
from labkit.testing.waiting import until
from labkit.workbench.exercises.chapter_11.trial import noticed, sound
from labkit.workbench.exercises.engine import Exercise, Refused, expect
from labkit.workbench.mutants import Ghosts
from labkit.workbench.room import Room

Test = Callable[[Any], Awaitable[None]]

exercise = Exercise[Test](
    "11.4",
    title="catch the ghost",
    hints=(
        "A ghost is counted where nobody is. `room.topics` counts.",
        "The server hears a goodbye a moment later: wait until `room.manager` is empty.",
        "`await until(lambda: not len(room.manager))`, and then look at `room.topics`.",
    ),
)


@exercise.solution
async def test_who_leaves_is_forgotten(room: Room) -> None:
    """Nothing of a client is left when it has gone without a word about its topics."""
    ada = await room.join("ada", "news", "sport")
    # hole: let Ada go, wait until the server knows, and look at what it remembers
    await ada.close()
    await until(lambda: not len(room.manager))
    assert room.topics == {}
    # end


@exercise.wrong("the ghost is laid before it can walk")
async def says_goodbye_politely(room: Room) -> None:
    """Unsubscribe first, which no closed laptop does."""
    ada = await room.join("ada", "news", "sport")
    for topic in ("news", "sport"):
        await ada.send({"type": "unsubscribe", "topic": topic})
        await ada.receive_until("ok")
    await ada.close()
    await until(lambda: not len(room.manager))
    assert room.topics == {}


@exercise.wrong("survives your test")
async def counts_connections(room: Room) -> None:
    """Look at the list of connections, which is right."""
    ada = await room.join("ada", "news", "sport")
    await ada.close()
    await until(lambda: not len(room.manager))
    assert len(room.manager) == 0


@exercise.wrong("the correct server fails it")
async def forgets_to_leave(room: Room) -> None:
    """Look while Ada is still there."""
    await room.join("ada", "news", "sport")
    assert room.topics == {}


@exercise.wrong("the wait is the whole test")
async def waits_for_the_ghost(room: Room) -> None:
    """Wait for what has to be asserted, and take the time-out for a pass."""
    ada = await room.join("ada", "news", "sport")
    await ada.close()
    try:
        await until(lambda: not room.topics, timeout_s=0.2)
    except TimeoutError:
        return


class _Watched(Room):
    """The correct server; it notes who says goodbye to a topic while still connected."""

    polite = False

    async def heard(self, connection: Connection, text: str) -> None:
        self.polite |= '"unsubscribe"' in text
        await super().heard(connection, text)


class _Haunted(Ghosts):
    """The wrong server; it notes whether anybody has looked at its topics."""

    looked = False

    @property
    def topics(self) -> dict[str, int]:
        self.looked = True
        return super().topics


@exercise.check
async def check(test: Test) -> None:
    """The correct server, then one with ghosts."""
    room, haunted = _Watched(), _Haunted()
    await sound(test, room)
    because = "the ghost is laid before it can walk: whoever loses the network says no goodbye"
    expect(not room.polite, given="a client that leaves", got="an unsubscribe", because=because)
    try:
        await noticed(test, haunted)
    except Refused:
        because = "the wait is the whole test, and a time-out counts as a pass: assert something"
        expect(not haunted.looked, given="a server with ghosts", got="a pass", because=because)
        raise
