"""One supervised connection: what it joins, leaves, and how it comes back."""

from __future__ import annotations

import asyncio
import logging

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from labkit.sse.reader import ChannelReader, backoff_s


class Recorder:
    """A listener that writes down what it hears."""

    def __init__(self):
        self.heard = []
        self.fail_on = None

    def joined(self, channel):
        self.heard.append(("joined", channel))

    def left(self, channel):
        self.heard.append(("left", channel))

    def received(self, channel, payload):
        self.heard.append((channel, payload))
        if payload == self.fail_on:
            raise LookupError("a defect")

    def ready(self):
        self.heard.append("ready")

    def lost(self):
        self.heard.append("lost")


@pytest.fixture
def listener():
    return Recorder()


@pytest.fixture
async def client(valkey):
    client = Redis.from_url(valkey.url, socket_timeout=None, protocol=2)
    yield client
    await client.aclose()


@pytest.fixture
async def reader(client, listener):
    reader = ChannelReader(client, listener, linger_s=0.0, backoff=lambda _attempt: 0.01)
    running = asyncio.create_task(reader.run())
    yield reader
    reader.close()
    running.cancel()
    await asyncio.wait({running})


async def test_a_wanted_channel_is_joined_before_its_messages(reader, listener, client, eventually):
    """Joined, then everything that comes."""
    reader.want(["a"])
    await eventually(lambda: ("joined", "a") in listener.heard)
    await client.publish("a", "x")
    await eventually(lambda: ("a", b"x") in listener.heard)
    assert listener.heard.index(("joined", "a")) < listener.heard.index(("a", b"x"))


async def test_a_channel_is_held_as_often_as_it_is_wanted(reader, listener, eventually):
    """The last holder's leaving unsubscribes it, not the first's."""
    reader.want(["a"])
    reader.want(["a"])
    await eventually(lambda: ("joined", "a") in listener.heard)
    reader.unwant(["a"])
    reader.want(["b"])
    await eventually(lambda: ("joined", "b") in listener.heard)
    assert ("left", "a") not in listener.heard
    reader.unwant(["a"])
    await eventually(lambda: ("left", "a") in listener.heard)


async def test_a_channel_wanted_again_in_time_is_never_left(reader, listener, eventually):
    """Who comes back while it lingers stops the clock."""
    reader.want(["a"])
    await eventually(lambda: ("joined", "a") in listener.heard)
    reader.unwant(["a"])
    reader.want(["a"])
    reader.want(["later"])
    await eventually(lambda: ("joined", "later") in listener.heard)
    assert ("left", "a") not in listener.heard


async def test_a_channel_wanted_again_is_joined_again(reader, listener, client, eventually):
    """Left and wanted in quick succession: the end is a channel that is heard."""
    for _ in range(20):
        reader.want(["a"])
        await asyncio.sleep(0)
        reader.unwant(["a"])
        await asyncio.sleep(0)
    reader.want(["a", "end"])
    await eventually(lambda: ("joined", "end") in listener.heard)
    assert [e for e in listener.heard if e[1] == "a"][-1] == ("joined", "a")
    await client.publish("a", "x")
    await eventually(lambda: ("a", b"x") in listener.heard)


async def test_after_an_outage_all_channels_are_joined_before_it_is_ready(
    reader, listener, valkey, eventually
):
    """Lost, joined, ready, in this order."""
    reader.want(["a", "b"])
    await eventually(lambda: listener.heard.count("ready") == 1)
    valkey.restart()
    await eventually(lambda: listener.heard.count("ready") == 2)
    after = listener.heard[listener.heard.index("lost") :]
    after = [what for what in after if what != "lost"]
    assert sorted(after[:2]) == [("joined", "a"), ("joined", "b")]
    assert after[2:] == ["ready"]


async def test_an_outage_is_one_line_in_the_log(listener, reader, valkey, eventually, caplog):
    """However many attempts it takes, and without a traceback."""
    reader.want(["a"])
    await eventually(lambda: "ready" in listener.heard)
    with caplog.at_level(logging.WARNING):
        valkey.kill()
        await eventually(lambda: listener.heard.count("lost") > 5)
        valkey.restart()
        await eventually(lambda: listener.heard.count("ready") == 2)
        valkey.restart()
        await eventually(lambda: listener.heard.count("ready") == 3)
    assert len(caplog.records) == 2  # two outages
    for record in caplog.records:
        assert "no connection to the broker" in record.getMessage()
        assert record.exc_info is None


async def test_a_defect_in_the_listener_does_not_end_the_reader(
    listener, reader, client, eventually, caplog
):
    """It is logged with its traceback, and the reader starts anew."""
    listener.fail_on = b"boom"
    reader.want(["a"])
    await eventually(lambda: "ready" in listener.heard)
    await client.publish("a", "boom")
    await eventually(lambda: listener.heard.count("ready") == 2)
    await client.publish("a", "fine")
    await eventually(lambda: ("a", b"fine") in listener.heard)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_the_wait_grows_to_its_cap():
    """Doubling, then constant, and no overflow after days of outage."""
    waits = [
        backoff_s(n, first_s=0.1, cap_s=1.0, uniform=lambda _low, high: high)
        for n in (0, 1, 2, 3, 4, 5, 100_000)
    ]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


def test_the_jitter_survives_the_cap():
    """At the cap the whole range is used: processes do not come back in step."""
    low = backoff_s(50, cap_s=10.0, uniform=lambda low, _high: low)
    high = backoff_s(50, cap_s=10.0, uniform=lambda _low, high: high)
    assert (low, high) == (0, 10.0)


class FailingPubSub:
    """A connection that breaks when it is told to, in the same turn as whatever else happens."""

    def __init__(self, broken):
        self.broken = broken

    def pubsub(self):
        return self

    async def connect(self):
        """It is there."""

    async def get_message(self, **_options):
        await self.broken.wait()
        raise RedisConnectionError("broken")

    async def subscribe(self, *channels):
        """Nobody wants any."""

    unsubscribe = aclose = subscribe


async def test_closing_ends_it_even_in_the_turn_of_an_outage(listener):
    """A task group in which something failed swallows the cancellation (Python before 3.13)."""
    broken = asyncio.Event()
    reader = ChannelReader(FailingPubSub(broken), listener, backoff=lambda _attempt: 0.0)
    running = asyncio.create_task(reader.run())
    async with asyncio.timeout(5):
        while "ready" not in listener.heard:
            await asyncio.sleep(0)
    broken.set()
    await asyncio.sleep(0)  # the child fails now; its group learns of it in the next turn
    reader.close()
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=5)
    assert done
