"""One sweeper finds the silent ones; any message is a sign of life."""

import asyncio

import pytest

from labkit.architecture.manager import Connection, Manager
from labkit.testing.clients import Closed
from labkit.testing.clock import ManualClock
from labkit.websocket.heartbeat import PING, Heartbeat


class Pair:
    """A connection that records what is sent to it, and the sweeper that watches it."""

    def __init__(self):
        self.clock, self.manager, self.sent = ManualClock(), Manager(), []
        self.heartbeat = Heartbeat(self.manager, interval_s=25, timeout_s=60, clock=self.clock)
        self.connection = self.connect()

    def connect(self):
        connection = Connection(self, on_close=lambda: None, clock=self.clock)
        self.manager.add(connection)
        return connection

    def put(self, message):
        """Stand in for the outbox."""
        self.sent.append(message)
        return True

    def pass_time(self, seconds, heard=False):
        """Let a whole number of sweeps go by."""
        for _ in range(int(seconds // 25)):
            self.clock.advance(25)
            if heard:
                self.connection.heard()
            self.heartbeat.sweep()


def test_a_silent_connection_is_pinged_once_a_sweep_then_closed():
    """Two pings without an answer, then 4000: idle, come back."""
    pair = Pair()
    pair.pass_time(50)
    assert pair.sent == [PING, PING]
    assert pair.connection.ending is None
    pair.pass_time(25)
    assert pair.connection.ending[:2] == (4000, "nothing heard")


def test_an_hour_of_talk_needs_no_ping():
    """Any message counts; a busy connection is never pinged and never closed."""
    pair = Pair()
    pair.pass_time(3600, heard=True)
    assert (pair.sent, pair.connection.ending) == ([], None)


def test_a_new_connection_does_not_pay_for_the_old_one():
    """Reconnecting makes a new connection with a clock of its own."""
    pair = Pair()
    pair.pass_time(50)
    new = pair.connect()
    pair.pass_time(25)
    assert pair.connection.ending is not None
    assert new.ending is None


def test_many_reconnects_still_mean_one_ping_an_interval():
    """There is one sweeper, not one loop for each connection that ever was."""
    pair = Pair()
    for _ in range(5):
        pair.manager.remove(pair.connection)
        pair.connection = pair.connect()
    pair.pass_time(25)
    assert pair.sent == [PING]


def test_a_timeout_without_room_for_an_answer_is_refused():
    """The settings are named."""
    with pytest.raises(ValueError, match="timeout_s is 20"):
        Heartbeat(Manager(), interval_s=25, timeout_s=20)


async def test_on_the_wire_a_silent_client_gets_a_ping_and_then_4000(room):
    """The same on a real socket: ping, silence, close code 4000."""
    clock = ManualClock()
    async with room(clock=clock) as r, asyncio.timeout(10):
        heartbeat = Heartbeat(r.manager, interval_s=0.01, timeout_s=60, clock=clock)
        client = await r.join(topic="news")
        sweeping = asyncio.ensure_future(heartbeat.run())
        clock.advance(1)
        assert await client.receive_json() == {"type": "ping"}
        clock.advance(60)
        assert await client.closed() == Closed(4000, "nothing heard")
        sweeping.cancel()
