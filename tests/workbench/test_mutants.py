"""Each mutant makes the mistake of its name, and no other that a client would see."""

import asyncio
import contextlib

import pytest

from labkit.testing.clients import Disconnected, Silence
from labkit.testing.waiting import until
from labkit.workbench import mutants
from labkit.workbench.mutants import MUTANTS
from labkit.workbench.room import Room


async def ask(client, message):
    """Return the answer to a message, or the word `closed`."""
    await client.send(message)
    try:
        return (await client.receive_json())["type"]
    except Disconnected:
        return "closed"


async def crossed(room):
    """Return what a guest of another topic hears of the news."""
    bob = await room.join("bob", "sport")
    room.publish("news", n=1)
    await bob.send({"type": "ping"})
    return len(await bob.receive_until("pong")) - 1


async def after_unsubscribing(room):
    ada = await room.join("ada", "news")
    await ask(ada, {"type": "unsubscribe", "topic": "news"})
    room.publish("news", n=1)
    await ada.send({"type": "ping"})
    return len(await ada.receive_until("pong")) - 1


async def beside_a_stalled(room):
    await room.stall("eve", "news")
    ada = await room.join("ada", "news")
    for n in range(20):
        room.publish("news", n=n, text="x" * 50_000)
        await asyncio.sleep(0)
    with contextlib.suppress(Silence):
        return len(await ada.receive_many(20))
    return "stuck"


async def bad_message(room):
    return await ask(await room.join(), "{")


async def left_tasks(room):
    await room.join()
    left = [task for task in getattr(room, "left", []) if not task.done()]
    for task in left:
        task.cancel()
    return len(left)


async def private(room):
    return await ask(await room.join(), {"type": "subscribe", "topic": "private:1"})


async def ghosts(room):
    ada = await room.join("ada", "news")
    await ada.close()
    await until(lambda: not len(room.manager))
    return room.topics


async def reference(room):
    ada = await room.join()
    await ada.send({"type": "ping", "id": "7"})
    return (await ada.receive_json()).get("ref")


PROBES = {
    crossed: (0, 1, mutants.EveryoneHears),
    after_unsubscribing: (0, 1, mutants.OnlyAWord),
    beside_a_stalled: (20, "stuck", mutants.SlowestSetsThePace),
    bad_message: ("error", "closed", mutants.OneBadMessage),
    left_tasks: (0, 1, mutants.TaskOutlives),
    private: ("error", "ok", mutants.AnyoneMayListen),
    ghosts: ({}, {"news": 1}, mutants.Ghosts),
    reference: ("7", None, mutants.WhichQuestion),
}


def test_every_mutant_has_a_probe():
    """And a name and a chapter of its own."""
    assert {wrong for _, _, wrong in PROBES.values()} == set(MUTANTS)
    assert len({kind.name for kind in MUTANTS}) == len(MUTANTS)
    assert all(kind.chapter and not Room.chapter for kind in MUTANTS)


@pytest.mark.parametrize("probe", PROBES)
async def test_a_mutant_makes_its_mistake_and_the_room_does_not(probe):
    """One probe, asked of both."""
    right, wrong, mutant = PROBES[probe]
    async with Room() as room:
        assert await probe(room) == right
    async with mutant() as room:
        assert await probe(room) == wrong
