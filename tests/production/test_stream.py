"""Room 3's contract for one topic, at every worker."""

import pytest

from labkit.production import TopicBroker
from labkit.sse import Parser
from labkit.testing.waiting import until
from tests.production.conftest import impatient


async def taken(subscription, count):
    """Take until there are so many events."""
    parser, events = Parser(), []
    while len(events) < count:
        assert await subscription.wait(5)
        events += parser.feed(subscription.take().wire)
    return events, parser.last_event_id


async def test_a_stream_resumes_at_another_worker_without_a_seam(valkey):
    """40 of 40, once each, over two workers and a change in the middle."""
    async with impatient(valkey) as here, impatient(valkey) as there:
        brokers = [TopicBroker(topics, "t") for topics in (here, there)]
        with await brokers[0].subscribe(["t"]) as first:
            for n in range(15):
                await brokers[1].publish("t", str(n))
            got, position = await taken(first, 15)
        for n in range(15, 30):
            await brokers[0].publish("t", str(n))
        with await brokers[1].subscribe(["t"], position) as second:
            for n in range(30, 40):
                await brokers[0].publish("t", str(n))
            more, _ = await taken(second, 25)
        assert [event.data for event in got + more] == [str(n) for n in range(40)]


@pytest.mark.parametrize(
    ("position", "reason"),
    [
        ("nonsense", "malformed id"),
        ("e0:7", "other epoch"),
        ("", None),
        ("\U0001f600", "malformed id"),
    ],
)
async def test_an_id_that_means_nothing_is_answered_with_a_gap(valkey, position, reason):
    """Where the stream goes on is its id; without an id there is no gap."""
    async with impatient(valkey) as topics:
        broker = TopicBroker(topics, "t")
        with await broker.subscribe(["t"], position) as stream:
            parser = Parser()
            events = parser.feed(stream.take().wire)
            assert [event.event for event in events] == ["gap"] * (reason is not None)
            assert all(reason in event.data for event in events)
            assert parser.last_event_id == str(broker.position)


async def test_a_position_that_is_too_old_is_a_gap(valkey):
    """Never a part of what was missed."""
    async with impatient(valkey, max_events=3) as topics:
        broker = TopicBroker(topics, "t")
        at = await topics.log.publish("t", "0")
        for n in range(1, 6):
            await broker.publish("t", str(n))
        with await broker.subscribe(["t"], str(at)) as stream:
            (event,), _ = await taken(stream, 1)
            assert "too old" in event.data


async def test_another_topic_is_refused(valkey):
    """One position stands for one topic."""
    async with impatient(valkey) as topics:
        broker = TopicBroker(topics, "t")
        for wrong in (["t", "u"], ["u"], []):
            with pytest.raises(ValueError, match="topic"):
                await broker.subscribe(wrong)
        with pytest.raises(ValueError, match="alone"):
            await broker.publish("u", "x")


async def test_its_streams_are_those_a_drain_ends_and_it_knows_when_it_is_cut_off(valkey):
    """A keep-alive must not move a client's position over what it may have missed."""
    async with impatient(valkey) as topics:
        broker = TopicBroker(topics, "t")
        with await broker.subscribe(["t"]) as stream:
            assert list(broker.subscriptions) == [stream]
            assert broker.connected
            valkey.kill()
            await until(lambda: not broker.connected)
        assert not broker.subscriptions
