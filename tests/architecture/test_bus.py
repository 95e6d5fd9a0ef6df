"""Handlers are isolated from the publisher and from each other."""

import asyncio
import logging

import pytest

from labkit.architecture.bus import EventBus


async def test_every_handler_sees_every_event_in_order():
    """Functions and coroutine functions alike."""
    seen, seen_later = [], []

    async def later(event, data):
        await asyncio.sleep(0)
        seen_later.append((event, data))

    async with EventBus() as bus:
        bus.subscribe("paid", lambda *event: seen.append(event))
        bus.subscribe("paid", later)
        assert [bus.publish("paid", n) for n in range(5)] == [2] * 5
    assert seen == seen_later == [("paid", n) for n in range(5)]


async def test_a_failing_handler_is_logged_counted_and_alone(caplog):
    """The log names it; the others and the next event are not touched."""
    seen = []

    def broken(event, data):
        raise KeyError("bug")

    async with EventBus() as bus:
        subscription = bus.subscribe("paid", broken)
        bus.subscribe("paid", lambda *event: seen.append(event))
        bus.publish("paid")
        bus.publish("paid")
    assert (subscription.errors, subscription.delivered, len(seen)) == (2, 0, 2)
    records = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert len(records) == 2
    assert "broken failed on paid" in records[0].getMessage()
    assert records[0].exc_info


async def test_cancelling_the_publisher_changes_nothing():
    """What was published is handled to its end."""
    done = []

    async def debit(event, data):
        await asyncio.sleep(0)
        done.append("debited")
        await asyncio.sleep(0)
        done.append("credited")

    async with EventBus() as bus:
        bus.subscribe("paid", debit)

        async def publisher():
            bus.publish("paid")
            await asyncio.Event().wait()

        task = asyncio.ensure_future(publisher())
        await asyncio.sleep(0)
        task.cancel()
    assert done == ["debited", "credited"]


async def test_a_slow_handler_delays_neither_publisher_nor_others():
    """Publish returns while the slow one has not begun."""
    gate, seen = asyncio.Event(), []

    async def slow(event, data):
        await gate.wait()

    async with EventBus() as bus:
        bus.subscribe("tick", slow)
        quick = bus.subscribe("tick", lambda *event: seen.append(event))
        for n in range(3):
            bus.publish("tick", n)
        await quick.join()
        assert len(seen) == 3
        gate.set()


async def test_each_handler_has_its_own_copy():
    """What one handler does to the data, no other sees."""
    seen = []

    def thief(event, data):
        data["password"] = "leak"

    async with EventBus() as bus:
        bus.subscribe("user", thief)
        bus.subscribe("user", lambda _, data: seen.append(data))
        original = {"id": 1}
        bus.publish("user", original)
    assert seen == [original] == [{"id": 1}]


async def test_subscribing_twice_delivers_once():
    """The same handler has one subscription to an event."""
    seen = []

    def handler(*event):
        seen.append(event)

    async with EventBus() as bus:
        assert bus.subscribe("a", handler) is bus.subscribe("a", handler)
        bus.publish("a")
    assert len(seen) == 1


async def test_cancel_ends_a_subscription_and_frees_it():
    """After cancel the handler hears nothing, and publish counts it no more."""
    seen = []
    async with EventBus() as bus:
        subscription = bus.subscribe("a", lambda *event: seen.append(event))
        subscription.cancel()
        subscription.cancel()
        await asyncio.wait([subscription.task], timeout=5)
        assert bus.publish("a") == 0
    assert seen == []


async def test_what_waits_for_a_slow_handler_is_bounded():
    """The oldest events make room, and are counted."""
    gate, seen = asyncio.Event(), []

    async def slow(event, data):
        await gate.wait()
        seen.append(data)

    async with EventBus(max_waiting=2) as bus:
        subscription = bus.subscribe("tick", slow)
        for n in range(5):
            bus.publish("tick", n)
        gate.set()
    assert (seen, subscription.dropped) == ([3, 4], 3)
    assert repr(subscription).endswith("2 delivered, 0 errors, 3 dropped>")


async def test_a_handler_that_hangs_is_given_up(caplog):
    """The deadline of one event is the handler's error."""

    async def hangs(event, data):
        await asyncio.Event().wait()

    async with EventBus(timeout_s=0.01) as bus:
        subscription = bus.subscribe("a", hangs)
        bus.publish("a")
    assert subscription.errors == 1


async def test_an_error_in_the_block_ends_the_bus_at_once():
    """Leaving by an exception does not wait for handlers."""

    async def hangs(event, data):
        await asyncio.Event().wait()

    with pytest.raises(KeyError):
        async with EventBus() as bus:
            subscription = bus.subscribe("a", hangs)
            bus.publish("a")
            await asyncio.sleep(0)
            raise KeyError
    assert subscription.task.done()


async def test_a_handler_that_is_not_callable_is_refused():
    """The mistake is named where it is made."""
    async with EventBus() as bus:
        with pytest.raises(TypeError, match="handler is a str"):
            bus.subscribe("a", "handler")
