"""Who uses nothing is closed with 4000; a sign of life is no use, a wall clock no measure."""

import asyncio

import pytest

from labkit.architecture import Manager
from labkit.architecture.manager import Connection
from labkit.connections.idle import IdleTimeout, is_sign_of_life
from labkit.testing.clients import Closed
from labkit.testing.clock import ManualClock


class Office:
    """Connections without sockets, and a clock that jumps."""

    def __init__(self, **options):
        self.clock, self.manager = ManualClock(), Manager()
        self.idle = IdleTimeout(self.manager, timeout_s=300, clock=self.clock, **options)
        self.ada, self.bob = self.connect(), self.connect()

    def connect(self):
        connection = Connection(None, on_close=lambda: None, clock=self.clock)
        self.manager.add(connection)
        return connection

    async def pass_time(self, seconds, use=lambda: None):
        """Let time pass in the sweeper's own steps, with `use()` before each."""
        for _ in range(int(seconds // 15)):
            result = use()
            if result is not None:
                await result
            self.clock.advance(15)
            self.idle.sweep()


@pytest.fixture
def office():
    """Return an office."""
    return Office


async def handle(connection, text):
    """Do nothing with a message."""


async def test_silence_for_the_timeout_closes_with_4000(office):
    """Not a sweep earlier, and at most a twentieth later."""
    o = office()
    await o.pass_time(300)
    assert o.ada.ending is None
    await o.pass_time(15)
    assert o.ada.ending[:2] == (4000, "idle")


async def test_a_message_is_use(office):
    """One word every few minutes keeps a connection for an hour."""
    o = office()
    on_text = o.idle.counting(handle)
    for _ in range(15):
        await on_text(o.ada, '{"type": "say"}')
        await o.pass_time(240)
    assert o.ada.ending is None
    assert o.bob.ending is not None


async def test_an_hour_of_pongs_is_no_use(office):
    """A client that only answers pings is alive and idle."""
    o = office()
    on_text = o.idle.counting(handle)
    await o.pass_time(3600, use=lambda: on_text(o.ada, '{"type": "pong"}'))
    assert o.ada.ending[:2] == (4000, "idle")


async def test_a_listener_is_in_use_if_the_policy_says_so(office):
    """A dashboard only listens: it stays by default, and goes where listening does not count."""
    for counts in (True, False):
        o = office(listening_counts=counts)
        o.manager.subscribe(o.ada, "news")
        await o.pass_time(3600)
        assert (o.ada.ending is None) is counts
        assert o.bob.ending is not None


async def test_the_clock_runs_from_the_end_of_listening(office):
    """Whoever unsubscribes has the whole timeout from then on."""
    o = office()
    o.manager.subscribe(o.ada, "news")
    await o.pass_time(3600)
    o.manager.unsubscribe(o.ada, "news")
    await o.pass_time(285)
    assert o.ada.ending is None
    await o.pass_time(15)
    assert o.ada.ending is not None


async def test_work_that_takes_long_is_use(office):
    """A report that takes an hour does not cost its client the connection."""
    o = office()
    done = asyncio.Event()

    async def report(connection, text):
        await done.wait()

    working = asyncio.ensure_future(o.idle.counting(report)(o.ada, '{"type": "report"}'))
    await asyncio.sleep(0)
    await o.pass_time(3600)
    assert o.ada.ending is None
    done.set()
    await working
    await o.pass_time(300)
    assert o.ada.ending is not None


async def test_what_else_is_use_the_application_says(office):
    """`touch` is for whatever a program calls activity."""
    o = office()
    await o.pass_time(3600, use=lambda: o.idle.touch(o.ada))
    assert o.ada.ending is None


async def test_nothing_is_kept_of_those_who_have_gone(office):
    """A thousand visitors leave no trace in the sweeper."""
    o = office()
    for _ in range(1000):
        visitor = o.connect()
        o.idle.touch(visitor)
        o.manager.remove(visitor)
    o.idle.sweep()
    assert set(o.idle._used) == {o.ada, o.bob}


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ('{"type":"pong"}', True),
        ('{ "type" : "ping", "id": "7" }', True),
        ('{"type":"say"}', False),
        ("{", False),
        ('{"type":"ping"}' + " " * 200, False),
    ],
)
def test_signs_of_life_are_told_from_messages(text, sign):
    """By what they say, not by how they are written."""
    assert is_sign_of_life(text) is sign


def test_a_timeout_of_nothing_is_refused():
    """The setting is named."""
    with pytest.raises(ValueError, match="timeout_s is 0"):
        IdleTimeout(Manager(), timeout_s=0)


async def test_on_the_wire_an_hour_passes_and_only_the_unused_is_closed(room):
    """Ada listens, Bob talks, Cleo answers pings: Cleo reads 4000, and her handler has ended."""
    async with room() as r, asyncio.timeout(10):
        idle = IdleTimeout(r.manager, timeout_s=300, clock=r.clock)
        r.on_text = idle.counting(r.router)
        await r.join("ada", topic="news")
        bob, cleo = await r.join("bob"), await r.join("cleo")
        of_cleo = r.of("cleo")
        idle.sweep()
        for _ in range(3600 // 240):
            await bob.send({"type": "unsubscribe", "topic": "sport"})
            await bob.receive_json()
            if of_cleo.ending is None:
                await cleo.send({"type": "ping"})
                await cleo.receive_json()
            r.clock.advance(240)
            idle.sweep()
        assert await cleo.closed() == Closed(4000, "idle")
        while len(r.manager) > 2:
            await asyncio.sleep(0.005)
        assert [ending[:2] for ending in r.endings] == [(4000, "idle")]


async def test_the_sweeper_runs_by_itself(room):
    """With a real clock, a silent client is closed without anybody's help."""
    async with room() as r, asyncio.timeout(10):
        client = await r.join()
        idle = IdleTimeout(r.manager, timeout_s=0.1)
        sweeping = asyncio.ensure_future(idle.run())
        assert await client.closed() == Closed(4000, "idle")
        sweeping.cancel()
