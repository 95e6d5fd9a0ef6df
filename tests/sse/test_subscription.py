"""When a reader is woken, and when what came is written while it sleeps."""

from __future__ import annotations

import asyncio

import pytest

from labkit.architecture import Backlog, Overflow
from labkit.sse import History, Parser
from labkit.sse.broker import Hub
from labkit.sse.history import GapReason


@pytest.fixture
async def hub():
    return Hub(History())


@pytest.fixture
async def subscription(hub):
    """Of one topic, with its opening taken."""
    with hub.attach(frozenset(["t"]), None, None) as subscription:
        subscription.take()
        yield subscription


async def asleep(subscription, write, timeout_s=5):
    """Return the task of a reader that waits."""
    task = asyncio.create_task(subscription.wait(timeout_s, write))
    await asyncio.sleep(0)
    return task


async def test_what_a_turn_brings_is_written_once_while_the_reader_sleeps(hub, subscription):
    """Three events, one call, and no wake-up."""
    batches = []
    reader = await asleep(subscription, lambda batch: batches.append(batch) or True)
    for data in "abc":
        hub.dispatch("t", data, None)
    assert batches == []
    await asyncio.sleep(0)
    assert [(batch.wire.count(b"data: "), batch.events) for batch in batches] == [(3, 3)]
    await asyncio.sleep(0)
    assert not reader.done()
    subscription.end("enough")
    assert await reader


async def test_a_writer_that_cannot_wakes_the_reader(hub, subscription):
    """What it was given is the reader's to finish, and so is what comes until it waits again."""
    given = []

    def write(batch):
        given.append(batch.events)
        hub.dispatch("t", "b", None)  # in the same turn, by somebody else who is flushed
        return False

    reader = await asleep(subscription, write)
    hub.dispatch("t", "a", None)
    assert await reader
    assert given == [1]
    assert subscription.take().events == 1


@pytest.mark.parametrize("topics", [["t"], ["t", "u"]])
async def test_a_gap_keeps_its_place_between_events(hub, topics):
    """Whether a turn's events go to one audience or to several."""
    wires = []
    with hub.attach(frozenset(topics), None, None) as subscription:
        subscription.take()
        reader = await asleep(subscription, lambda batch: wires.append(batch.wire) or True)
        for topic in topics:
            hub.dispatch(topic, "before", None)
        hub.tell_gap(GapReason.SLOW, [subscription])
        hub.dispatch("t", "behind", None)
        await asyncio.sleep(0)
        subscription.end("enough")
        assert await reader
    (wire,) = wires
    before, behind = wire.split(b"event: gap")
    assert (before.count(b"before"), behind.count(b"behind")) == (len(topics), 1)


async def test_nothing_is_written_behind_the_end(hub, subscription):
    """What still waits then is taken by the reader, in front of its goodbye."""
    calls = []
    reader = await asleep(subscription, lambda _: calls.append("write") or True)
    hub.dispatch("t", "a", None)
    subscription.end("enough")
    assert await reader
    assert (calls, subscription.take().events) == ([], 1)


async def test_silence_is_counted_from_the_last_thing_written(hub, subscription, monkeypatch):
    """A stream that is written to is not silent, though its reader sleeps all the time."""
    loop, late_s = asyncio.get_running_loop(), 0.0
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + late_s)
    reader = await asleep(subscription, bool, timeout_s=60)
    late_s = 59.0
    hub.dispatch("t", "a", None)
    await asyncio.sleep(0)
    late_s = 61.0
    for _ in range(5):
        await asyncio.sleep(0)
    assert not reader.done()
    late_s = 120.0
    assert not await reader


async def test_what_came_in_the_last_moment_is_no_silence(hub, subscription, monkeypatch):
    """A keep-alive that moves the position must not overtake an event."""
    loop, late_s = asyncio.get_running_loop(), 0.0
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + late_s)
    written = []

    async def read():
        assert await subscription.wait(60, lambda _: written.append("in time") or True)
        assert subscription.take().events == 1
        assert await subscription.wait(60, lambda _: written.append("nothing") or True)

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    loop.call_later(60.5, hub.dispatch, "t", "a", None)
    late_s = 61.0  # both are due in one turn: first the deadline, then the event
    for _ in range(5):
        await asyncio.sleep(0)
    subscription.end("enough")
    await reader
    assert written == []


async def test_what_waits_when_a_subscription_closes_is_written_nowhere(hub, subscription):
    """Its reader has gone."""
    calls = []
    reader = await asleep(subscription, lambda _: calls.append("write") or True)
    hub.dispatch("t", "a", None)
    subscription.close()
    assert await reader
    assert calls == []


async def test_a_loss_is_told_in_front_of_the_next_event(hub):
    """Also when what was lost never fitted, so that nothing waits."""
    wires = []
    backlog = Backlog(max_bytes=200, overflow=Overflow.DROP_OLDEST)
    with hub.attach(frozenset(["t"]), None, backlog) as subscription:
        subscription.take()
        reader = await asleep(subscription, lambda batch: wires.append(batch.wire) or True)
        for data in ("x" * 300, "fits"):
            hub.dispatch("t", data, None)
            await asyncio.sleep(0)
        subscription.end("enough")
        assert await reader
    assert (subscription.dropped, [each.event or each.data for each in parsed(wires)]) == (
        1,
        ["gap", "fits"],
    )


def parsed(wires):
    return Parser().feed(b"".join(wires))
