"""Tests are judged by what they notice."""

import pytest

from labkit.workbench.judging import judge
from labkit.workbench.mutants import MUTANTS, Ghosts, TaskOutlives
from labkit.workbench.pytestrun import PytestHost

BLIND = """
async def test_connects(room):
    assert (await room.join("ada")).open
"""
GHOST = """
async def test_ghost(room):
    ada = await room.join("ada", "news")
    await ada.close()
    await until(lambda: not len(room.manager))
    assert room.topics == {}
"""
WRONG = """
async def test_wrong(room):
    assert room.topics == {"news": 1}
"""
ALL = (
    GHOST
    + """
async def fence(client):
    await client.send({"type": "ping", "id": "7"})
    *before, pong = await client.receive_until("pong")
    assert pong["ref"] == "7"
    return before

async def test_topics(room):
    bob = await room.join("bob", "sport")
    room.publish("news", n=1)
    assert await fence(bob) == []

async def test_unsubscribe(room):
    bob = await room.join("bob", "news")
    await bob.send({"type": "unsubscribe", "topic": "news"})
    room.publish("news", n=1)
    assert [each["type"] for each in await fence(bob)] in (["ok"], ["event", "ok"])
    room.publish("news", n=2)
    assert await fence(bob) == []

async def test_bad(room):
    ada = await room.join()
    await ada.send("{")
    await ada.receive_until("error")

async def test_private(room):
    ada = await room.join()
    await ada.send({"type": "subscribe", "topic": "private:1"})
    await ada.receive_until("error")

async def test_stalled(room):
    await room.stall("eve", "news")
    ada = await room.join("ada", "news")
    for n in range(20):
        room.publish("news", n=n, text="x" * 50_000)
        await asyncio.sleep(0)
    await ada.receive_many(20)
"""
)


@pytest.fixture(scope="module")
def anyio_backend():
    """Let the host live as long as this module."""
    return "asyncio"


@pytest.fixture(scope="module")
async def host(anyio_backend):
    host = PytestHost.start()
    yield host
    await host.aclose()


async def test_blind_tests_notice_nothing(host):
    """They are green, and every wrong server survives."""
    judged = await judge(host, BLIND)
    assert judged.green
    assert judged.survivors == [kind.name for kind in MUTANTS]


async def test_a_sharp_test_is_named_beside_what_it_caught(host):
    """And the others survive it."""
    judged = await judge(host, BLIND, GHOST)
    assert judged.caught[Ghosts.name] == "test_ghost"
    assert len(judged.survivors) == len(MUTANTS) - 1
    assert "ghosts stay subscribed" in str(judged)


async def test_nothing_left_catches_what_no_assertion_sees(host):
    """The blind test with the fixture around it sees the task that outlives its client."""
    judged = await judge(host, BLIND, nothing_left=True)
    assert judged.caught[TaskOutlives.name] == "test_connects"
    assert judged.green


async def test_a_test_that_is_wrong_is_red_on_the_correct_server(host):
    """Then the judgement says why, first of all."""
    judged = await judge(host, WRONG)
    assert not judged.green
    assert judged.why.startswith("test_wrong failed: ")


async def test_good_tests_leave_no_survivor(host):
    """All eight are caught, by tests that are green on the correct server."""
    judged = await judge(host, ALL, nothing_left=True)
    assert (judged.green, judged.survivors) == (True, [])


async def test_no_tests_are_worth_nothing(host):
    """An empty file is not green."""
    assert not (await judge(host)).green
