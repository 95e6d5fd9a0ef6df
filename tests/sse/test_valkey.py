"""A broker over a real Valkey that is really killed, hung and restarted."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from redis.asyncio import Redis

from labkit.architecture.backlog import Backlog
from labkit.sse import BrokerUnavailableError, GapReason, ValkeyBroker
from labkit.sse.valkey import read_message


def impatient(server, **options):
    """Make a broker that notices and retries at once."""
    defaults = {"backoff": lambda _attempt: 0.01, "linger_s": 0.0}
    return ValkeyBroker(server.url, **defaults | options)


@pytest.fixture
async def client(valkey):
    """Look at the server from outside."""
    client = Redis.from_url(valkey.url)
    yield client
    await client.aclose()


async def settle(client, topic, expected):
    """Wait until the server counts so many connections on a topic."""
    counts = None
    async with asyncio.timeout(10):
        while counts != expected:
            ((_, counts),) = await client.pubsub_numsub(f"sse:{topic}")
            await asyncio.sleep(0.005)


def gaps(reader):
    return [json.loads(event.data)["reason"] for event in reader.events if event.event == "gap"]


async def test_many_streams_share_one_connection_and_leave_none(valkey, client, reading):
    """NUMSUB is 1 with twenty streams, 0 when the last has left."""
    async with impatient(valkey) as broker:
        subscriptions = [await broker.subscribe(["t"]) for _ in range(20)]
        await settle(client, "t", 1)
        await broker.publish("t", "x")
        for subscription in subscriptions:
            assert await reading(subscription).next_data(1) == ["x"]
            subscription.close()
        await settle(client, "t", 0)


async def test_nothing_is_left_when_the_broker_is_closed(valkey, client):
    """No subscription at the server, no task, and every stream is told to end."""
    before = asyncio.all_tasks()
    async with impatient(valkey, linger_s=30.0) as broker:
        subscription = await broker.subscribe(["t"])
        (await broker.subscribe(["lingering"])).close()
    assert subscription.ended == "broker closed"
    assert not broker.connected
    assert asyncio.all_tasks() == before
    await settle(client, "t", 0)
    await settle(client, "lingering", 0)
    subscription.close()


@pytest.mark.parametrize("turns", range(25))
async def test_closing_works_at_every_step_of_connecting(valkey, turns):
    """A cancellation that the client library swallowed would hang here."""
    broker = impatient(valkey)
    await broker.__aenter__()
    for _ in range(turns):
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await broker.aclose()


async def test_two_processes_hear_each_other(valkey, reading):
    """What one publishes, the streams of the other get."""
    async with impatient(valkey) as here, impatient(valkey) as there:
        with await there.subscribe(["t"]) as subscription:
            await here.publish("t", "x", "note")
            reader = reading(subscription)
            assert await reader.next_data(1) == ["x"]
            assert reader.events[0].event == "note"


async def test_a_killed_server_that_comes_back_serves_both_streams_and_tells_the_gap(
    valkey, reading, eventually
):
    """At most once, honestly: each stream receives again and knows that it missed something."""
    async with impatient(valkey) as broker:
        with await broker.subscribe(["a"]) as first, await broker.subscribe(["a", "b"]) as second:
            readers = [reading(first), reading(second)]
            await broker.publish("a", "before")
            for reader in readers:
                await reader.next_data(1)
            before = readers[0].position
            await eventually(lambda: broker.connected)
            valkey.kill()
            await eventually(lambda: not broker.connected)
            valkey.restart()
            await eventually(lambda: broker.connected)
            await broker.publish("a", "after")
            for reader in readers:
                await reader.next_data(3)
                kinds = [event.event or event.data for event in reader.events]
                assert kinds == ["before", "gap", "after"]
                assert gaps(reader) == [GapReason.BROKER_LOST.value]
            with await broker.subscribe(["a"], before) as late:
                reader = reading(late)
                reader.take()
                assert gaps(reader) == [GapReason.OTHER_EPOCH.value]


async def test_a_cut_connection_is_an_outage_too(valkey, client, reading, eventually):
    """The server kills pub/sub clients that read too slowly: the reader comes back."""
    async with impatient(valkey) as broker:
        with await broker.subscribe(["t"]) as subscription:
            await client.client_kill_filter(_type="pubsub")
            reader = reading(subscription)
            await reader.until(lambda events: len(events) == 1)
            assert gaps(reader) == [GapReason.BROKER_LOST.value]
            await broker.publish("t", "again")
            await reader.until(lambda events: events[-1].data == "again")
        await eventually(lambda: broker.connected)


async def test_a_server_that_hangs_is_noticed(valkey, eventually):
    """A connection that is open and silent is an outage."""
    async with impatient(valkey, health_s=0.05) as broker:
        with await broker.subscribe(["t"]):
            await eventually(lambda: broker.connected)
            valkey.pause()
            try:
                await eventually(lambda: not broker.connected)
            finally:
                valkey.resume()
            await eventually(lambda: broker.connected)


async def test_a_healthy_silence_is_no_outage(valkey, client, reading):
    """Pings are answered, with a topic and without."""
    async with impatient(valkey, health_s=0.01) as broker:
        with await broker.subscribe(["t"]) as subscription:
            reader = reading(subscription)
            pings = 0
            async with asyncio.timeout(10):
                while pings < 5:
                    pings = (await client.info("commandstats")).get("cmdstat_ping", {"calls": 0})[
                        "calls"
                    ]
                    await asyncio.sleep(0.005)
            reader.take()
            assert gaps(reader) == []


async def test_publishing_to_a_dead_server_is_an_error_for_the_publisher(valkey):
    """It can tell its user, or try again; it must not believe that the event went out."""
    async with impatient(valkey) as broker:
        valkey.kill()
        with pytest.raises(BrokerUnavailableError, match="did not confirm the event on 't'"):
            await broker.publish("t", "x")


async def test_publishing_to_a_hung_server_ends_at_the_deadline(valkey):
    """No publisher waits for ever."""
    async with impatient(valkey, timeout_s=0.5) as broker:
        await broker.publish("t", "works")
        valkey.pause()
        try:
            with pytest.raises(BrokerUnavailableError, match="did not confirm"):
                await broker.publish("t", "x")
        finally:
            valkey.resume()


async def test_publishing_works_at_once_when_the_server_is_back(valkey, eventually):
    """A pooled connection from before the outage is replaced, not reported."""
    async with impatient(valkey) as broker:
        await eventually(lambda: broker.connected)
        await broker.publish("t", "x")
        valkey.kill()
        await eventually(lambda: not broker.connected)
        valkey.restart()
        await eventually(lambda: broker.connected)
        await broker.publish("t", "y")


async def test_many_publishers_share_few_connections(valkey, client, reading):
    """Beyond the pool's limit they wait for a turn."""
    async with impatient(valkey, max_connections=3) as broker:
        with await broker.subscribe(["t"]) as subscription:
            await asyncio.gather(*(broker.publish("t", str(n)) for n in range(100)))
            assert sorted(await reading(subscription).next_data(100), key=int) == [
                str(n) for n in range(100)
            ]
            ours = [c for c in await client.client_list() if c["name"] == ""]
            assert len(ours) <= 3 + 1  # and the one that looks


async def test_a_subscription_without_a_server_is_refused_in_time(valkey):
    """The stream does not start deaf."""
    valkey.kill()
    async with impatient(valkey, timeout_s=0.1) as broker:
        assert not broker.connected
        with pytest.raises(BrokerUnavailableError, match="did not confirm the topics"):
            await broker.subscribe(["t"])
        assert len(broker.subscriptions) == 0


async def test_a_server_that_starts_later_is_found(valkey, eventually):
    """The order of starting does not matter."""
    valkey.kill()
    async with impatient(valkey) as broker:
        valkey.restart()
        await eventually(lambda: broker.connected)


async def test_a_cancelled_subscriber_holds_no_topic(valkey, client):
    """Who gives up while waiting leaves nothing behind."""
    async with impatient(valkey) as broker:
        waiting = asyncio.create_task(broker.subscribe(["t"]))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        await settle(client, "t", 0)
        assert len(broker.subscriptions) == 0


async def test_a_broker_that_was_not_started_says_so(valkey):
    """Not a time-out later."""
    with pytest.raises(RuntimeError, match="async with ValkeyBroker"):
        await ValkeyBroker(valkey.url).subscribe(["t"])


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"not json", "Expecting value"),
        (b"\xff\xfe\xfd", "decode"),
        (b"[1]", "a JSON object is expected, not list"),
        (b"5", "not int"),
        (b"{}", "data must be text"),
        (b'{"data": 5}', "data must be text"),
        (b'{"data": "x", "event": 5}', "event text or null"),
        (b'{"data": "x", "event": "a\\nb"}', "event has a line break"),
        (b'{"data": "\\ud800"}', "surrogate"),
        (b'{"data": "' + b"x" * 70_000 + b'"}', "data makes an event of"),
        (b"[" * 100_000, "too many brackets"),
        (b"1" * 10_000, "digits"),
    ],
)
async def test_a_poison_message_is_skipped_counted_and_logged(  # noqa: PLR0917 (fixtures)
    valkey, client, reading, caplog, payload, why
):
    """One bad publisher does not end everybody's stream."""
    async with impatient(valkey) as broker:
        with await broker.subscribe(["t"]) as subscription:
            with caplog.at_level(logging.WARNING):
                await client.publish("sse:t", payload)
                await broker.publish("t", "healthy")
                assert await reading(subscription).next_data(1) == ["healthy"]
            assert broker.poison == 1
            (record,) = caplog.records
            assert "skipped a message on 't'" in record.getMessage()
            assert why in record.getMessage()


def test_a_message_without_an_event_type_is_fine():
    """Another publisher may leave it out."""
    assert read_message(b'{"data": "x", "extra": 1}') == ("x", None)


async def test_a_lone_client_that_comes_back_soon_has_missed_nothing(valkey, reading):
    """A topic lingers, so that the last stream's reconnection is not a gap."""
    async with impatient(valkey, linger_s=30.0) as broker:
        with await broker.subscribe(["t"]) as subscription:
            reader = reading(subscription)
            reader.take()
        await broker.publish("t", "meanwhile")
        with await broker.subscribe(["t"], reader.position) as subscription:
            assert await reading(subscription).next_data(1) == ["meanwhile"]


async def test_a_topic_that_was_not_heard_since_is_a_gap(valkey, client, reading):
    """The history has no hole, but this process was deaf: that counts as one."""
    async with impatient(valkey) as broker:
        with await broker.subscribe(["other"]) as keeper:
            kept = reading(keeper)
            with await broker.subscribe(["t"]) as subscription:
                reader = reading(subscription)
                reader.take()
            await settle(client, "t", 0)
            await broker.publish("t", "nobody hears this")
            await broker.publish("other", "x")
            await kept.next_data(1)
            with await broker.subscribe(["t"], reader.position) as subscription:
                back = reading(subscription)
                back.take()
                assert gaps(back) == [GapReason.NOT_HEARD.value]


async def test_a_gap_reaches_even_a_stream_whose_backlog_is_full(valkey, reading, eventually):
    """It ends instead, and what it resumes with is refused."""
    async with impatient(valkey) as broker:
        with await broker.subscribe(["t"], backlog=Backlog(max_items=1)) as subscription:
            reader = reading(subscription)
            reader.take()
            await broker.publish("t", "fills it")
            await subscription.wait(5)
            valkey.restart()
            await eventually(lambda: subscription.ended is not None)
            assert subscription.ended == GapReason.SLOW.value
            reader.take()
            with await broker.subscribe(["t"], reader.position) as resumed:
                back = reading(resumed)
                back.take()
                assert gaps(back) == [GapReason.OTHER_EPOCH.value]
