"""What every broker promises, in memory and over a real Valkey."""

from __future__ import annotations

import asyncio
import json

import pytest

from labkit.architecture.backlog import Backlog, Overflow
from labkit.sse import GapReason, History, MemoryBroker
from labkit.sse.broker import MAX_EVENT_BYTES, Hub, check_topic


def reasons(reader):
    return [json.loads(event.data)["reason"] for event in reader.events if event.event == "gap"]


async def test_a_subscription_receives_its_topics_in_order(broker, reading):
    """What is published arrives once, in order, with its type and a new id each."""
    with await broker.subscribe(["a"]) as subscription:
        for number in range(20):
            await broker.publish("a", str(number), "tick")
        reader = reading(subscription)
        assert await reader.next_data(20) == [str(number) for number in range(20)]
        assert {event.event for event in reader.events} == {"tick"}
        assert len({event.id for event in reader.events}) == 20


async def test_a_foreign_topic_is_not_received(broker, reading):
    """Alice does not get Bob's events."""
    with await broker.subscribe(["alice"]) as alice, await broker.subscribe(["bob"]) as bob:
        await broker.publish("bob", "for bob")
        await broker.publish("alice", "for alice")
        assert await reading(alice).next_data(1) == ["for alice"]
        assert await reading(bob).next_data(1) == ["for bob"]


async def test_two_streams_on_one_topic_get_all_of_twenty_events(broker, reading):
    """The second visitor takes nothing from the first."""
    with await broker.subscribe(["t"]) as first, await broker.subscribe(["t"]) as second:
        for number in range(20):
            await broker.publish("t", str(number))
        expected = [str(number) for number in range(20)]
        assert await reading(first).next_data(20) == expected
        assert await reading(second).next_data(20) == expected


async def test_leaving_does_not_silence_the_others(broker, reading):
    """A topic is left only with its last stream."""
    with await broker.subscribe(["t"]) as stays:
        (await broker.subscribe(["t"])).close()
        await broker.publish("t", "still here")
        assert await reading(stays).next_data(1) == ["still here"]
        assert len(broker.subscriptions) == 1
    assert len(broker.subscriptions) == 0


async def test_closing_twice_is_closing_once(broker, reading):
    """A subscription that has left cannot take another's place away."""
    with await broker.subscribe(["t"]) as stays:
        leaves = await broker.subscribe(["t"])
        leaves.close()
        leaves.close()
        await broker.publish("t", "x")
        assert await reading(stays).next_data(1) == ["x"]


async def test_a_subscription_tells_its_position_before_any_event(broker, reading):
    """A client that is cut off before its first event can still resume."""
    with await broker.subscribe(["t"]) as subscription:
        reader = reading(subscription)
        assert reader.take() == []
        assert reader.position == str(broker.position)


async def test_a_client_that_comes_back_gets_exactly_what_it_missed(broker, reading):
    """Cut at every step: ids seen are all ids, no duplicates, no gap."""
    numbers = [str(number) for number in range(6)]
    for cut in range(7):
        with await broker.subscribe(["t"]) as keeper:  # the process goes on hearing the topic
            kept = reading(keeper)
            with await broker.subscribe(["t"]) as subscription:
                first = reading(subscription)
                first.take()
                for number in numbers[:cut]:
                    await broker.publish("t", number)
                before = await first.next_data(cut)
            for number in numbers[cut:]:
                await broker.publish("t", number)
            await kept.next_data(6)
            with await broker.subscribe(["t"], first.position) as subscription:
                after = reading(subscription)
                assert before + await after.next_data(6 - cut) == numbers
                assert reasons(after) == []


async def test_replay_goes_over_into_live_without_a_seam(broker, reading):
    """Published while the client comes back: each event once, in order."""
    with await broker.subscribe(["t"]) as keeper:
        kept = reading(keeper)
        kept.take()
        position = kept.position

        async def publish():
            for number in range(60):
                await broker.publish("t", str(number))

        publisher = asyncio.create_task(publish())
        await kept.next_data(20)
        with await broker.subscribe(["t"], position) as subscription:
            expected = [str(number) for number in range(60)]
            assert await reading(subscription).next_data(60) == expected
        await publisher


async def test_a_replay_that_was_cut_goes_on_where_it_was_cut(broker, reading):
    """The position before a replay is the client's own, not the newest."""
    with await broker.subscribe(["t"]) as keeper:
        reader = reading(keeper)
        reader.take()
        start = reader.position
        await broker.publish("t", "missed")
        await reader.next_data(1)
        with await broker.subscribe(["t"], start) as subscription:
            wire = subscription.take().wire
        head, _, _ = wire.partition(b"\n\n")
        assert head == f"id: {start}".encode()


async def test_a_replay_holds_only_the_topics_asked_for(broker, reading):
    """A history of all topics gives nobody a foreign one."""
    with await broker.subscribe(["a", "b"]) as keeper:
        reader = reading(keeper)
        reader.take()
        start = reader.position
        await broker.publish("a", "for a")
        await broker.publish("b", "for b")
        await reader.next_data(2)
        with await broker.subscribe(["b"], start) as subscription:
            assert await reading(subscription).next_data(1) == ["for b"]


@pytest.mark.parametrize(
    ("last_event_id", "reason"),
    [
        ("abc-7", GapReason.MALFORMED),
        ("💥\x00", GapReason.MALFORMED),
        ("other:3", GapReason.OTHER_EPOCH),
        ("e:999", GapReason.FROM_THE_FUTURE),
    ],
)
async def test_an_unknown_position_starts_with_a_gap(make_broker, last_event_id, reason, reading):
    """The client is told to fetch its state anew, and gets the position to go on from."""
    async with make_broker(history=History(epoch="e")) as broker:
        with await broker.subscribe(["t"], last_event_id) as subscription:
            reader = reading(subscription)
            reader.take()
            assert reasons(reader) == [reason.value]
            assert reader.position == str(broker.position)


async def test_a_position_that_is_too_old_starts_with_a_gap(make_broker, reading):
    """Never a part of what was missed."""
    async with make_broker(history=History(max_events=2)) as broker:
        with await broker.subscribe(["t"]) as keeper:
            kept = reading(keeper)
            kept.take()
            start = kept.position
            for number in range(3):
                await broker.publish("t", str(number))
            await kept.next_data(3)
            with await broker.subscribe(["t"], start) as subscription:
                reader = reading(subscription)
                reader.take()
                assert reasons(reader) == [GapReason.TOO_OLD.value]
                assert len(reader.events) == 1


async def overflow(broker, reading, policy):
    """Publish six events to a backlog of three, and return what its reader gets."""
    with await broker.subscribe(["t"]) as keeper:
        backlog = Backlog(max_items=3, overflow=policy)
        with await broker.subscribe(["t"], backlog=backlog) as slow:
            reader = reading(slow)
            reader.take()
            kept = reading(keeper)
            for number in range(6):
                await broker.publish("t", str(number))
            await kept.next_data(6)
            reader.take()
            return reader, slow.ended


async def test_a_full_backlog_ends_the_stream_and_the_client_resumes(broker, reading):
    """By default nothing is lost: what is missing comes from the history."""
    with await broker.subscribe(["t"]):
        reader, ended = await overflow(broker, reading, Overflow.DISCONNECT)
        assert [event.data for event in reader.events] == ["0", "1", "2"]
        assert ended == GapReason.SLOW.value
        with await broker.subscribe(["t"], reader.position) as resumed:
            assert await reading(resumed).next_data(3) == ["3", "4", "5"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Overflow.DROP_OLDEST, ["gap", "3", "4", "5"]),
        (Overflow.DROP_NEWEST, ["0", "1", "2", "gap"]),
    ],
)
async def test_lost_events_are_told_where_they_are_missing(broker, policy, expected, reading):
    """A stream that goes on says how many it lost."""
    reader, ended = await overflow(broker, reading, policy)
    told = ["gap" if event.event == "gap" else event.data for event in reader.events]
    assert told == expected
    (gap,) = [json.loads(event.data) for event in reader.events if event.event == "gap"]
    assert gap == {"reason": "slow reader", "lost": 3}
    assert ended is None


async def test_a_gap_is_told_once(broker, reading):
    """The next batch does not repeat it."""
    with await broker.subscribe(["t"]) as keeper:
        backlog = Backlog(max_items=1, overflow=Overflow.DROP_OLDEST)
        with await broker.subscribe(["t"], backlog=backlog) as slow:
            reader = reading(slow)
            kept = reading(keeper)
            for number in range(3):
                await broker.publish("t", str(number))
            await kept.next_data(3)
            reader.take()
            await broker.publish("t", "3")
            await reader.until(lambda events: events[-1].data == "3")
            assert len(reasons(reader)) == 1


async def test_a_slow_reader_delays_nobody(broker, reading):
    """A publisher waits for no reader: the fast one has all while the slow one took nothing."""
    with await broker.subscribe(["t"]), await broker.subscribe(["t"]) as fast:
        reader = reading(fast)
        for number in range(1000):
            await broker.publish("t", str(number))
            if number % 100 == 99:
                await reader.next_data(number + 1)
        assert len(reader.events) == 1000


async def test_an_ended_subscription_wakes_its_reader(broker):
    """Who drains can end a stream from outside, with a reason."""
    with await broker.subscribe(["t"]) as subscription:
        subscription.take()
        for live in broker.subscriptions:
            live.end("drain")
        assert await subscription.wait(5)
        assert subscription.ended == "drain"


async def test_waiting_has_a_deadline(broker):
    """Nothing published: the reader gets its turn to keep the connection alive."""
    with await broker.subscribe(["t"]) as subscription:
        subscription.take()
        assert not await subscription.wait(0.01)


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        ([], "topic is missing"),
        ([""], "topic is empty"),
        (["x" * 256], "topic has 256 characters"),
        (["a\nb"], "do not print"),
        (["a\0"], "do not print"),
        ("news", "give a list"),
        ([None], "topic is empty"),
    ],
)
async def test_a_bad_topic_is_refused(broker, topics, message):
    """The error names the field, for one who subscribes."""
    with pytest.raises(ValueError, match=message):
        await broker.subscribe(topics)
    assert len(broker.subscriptions) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "x"), "topic is empty"),
        (("t", {"a": 1}), "data is dict"),
        (("t", "x", "a\nb"), "event has a line break"),
        (("t", "x" * MAX_EVENT_BYTES), "data makes an event of"),
    ],
)
async def test_a_bad_event_is_refused_where_it_is_published(broker, arguments, message):
    """The publisher hears of its mistake; no stream does."""
    with pytest.raises(ValueError, match=message):
        await broker.publish(*arguments)


def test_a_long_topic_is_allowed_up_to_its_limit():
    """The limit itself is fine."""
    assert check_topic("x" * 255) == "x" * 255


async def test_the_index_of_topics_is_empty_when_everybody_has_left():
    """Churn leaves nothing behind."""
    hub = Hub()
    for number in range(100):
        hub.attach(frozenset({f"t{number}", "all"}), None, None).close()
    assert (hub.subscriptions, hub._wants) == (set(), {})


async def test_a_memory_broker_is_always_connected():
    """There is nothing to lose."""
    assert MemoryBroker().connected
