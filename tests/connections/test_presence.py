"""A user is here once, however many tabs; a reload is nobody's business."""

import asyncio

import pytest

from labkit.architecture.manager import Connection
from labkit.connections.presence import Presence
from labkit.testing.clock import ManualClock


class Line(Connection):
    """A connection that keeps what is sent to it."""

    def __init__(self, user):
        self.sent = []
        super().__init__(self, on_close=lambda: None, user=user)

    def put(self, message):
        """Stand in for the outbox."""
        self.sent.append(message.payload)
        return True


class Hall:
    """A presence whose announcements are kept."""

    def __init__(self, linger_s=5):
        self.clock, self.said = ManualClock(), []
        self.presence = Presence(
            lambda topic, message: self.said.append(message.payload),
            linger_s=linger_s,
            clock=self.clock,
        )

    def join(self, user, topic="hall"):
        line = Line(user)
        self.presence.join(topic, line)
        return line


JOINED = '{"type":"presence_diff","topic":"hall","joined":["ada"]}'
LEFT = '{"type":"presence_diff","topic":"hall","left":["ada"]}'


def test_the_first_tab_joins_and_the_second_is_not_news():
    """One diff for a user; the state tells how many connections stand for each."""
    h = Hall()
    h.join("ada")
    second = h.join("ada")
    assert h.said == [JOINED]
    assert second.sent == ['{"type":"presence_state","topic":"hall","users":{"ada":2}}']


def test_closing_one_of_two_tabs_is_not_news():
    """The user leaves with the last one."""
    h = Hall(linger_s=0)
    first, second = h.join("ada"), h.join("ada")
    h.presence.leave("hall", first)
    assert h.said == [JOINED]
    h.presence.leave("hall", second)
    assert h.said == [JOINED, LEFT]
    assert h.presence.users("hall") == {}


def test_a_reload_is_not_news():
    """Gone and back within the time: nobody is told anything."""
    h = Hall()
    h.presence.leave("hall", h.join("ada"))
    h.clock.advance(4)
    h.presence.sweep()
    h.join("ada")
    h.clock.advance(100)
    h.presence.sweep()
    assert h.said == [JOINED]


def test_whoever_does_not_come_back_has_left():
    """Once, after the time."""
    h = Hall()
    h.presence.leave("hall", h.join("ada"))
    assert h.presence.users("hall") == {"ada": 0}
    h.clock.advance(5)
    h.presence.sweep()
    h.presence.sweep()
    assert h.said == [JOINED, LEFT]


def test_joining_and_leaving_twice_is_joining_and_leaving_once():
    """A connection is its own identity, and leaving where it never was does nothing."""
    h = Hall(linger_s=0)
    line = h.join("ada")
    h.presence.join("hall", line)
    h.presence.leave("hall", line)
    h.presence.leave("hall", line)
    h.presence.leave("attic", line)
    assert h.said == [JOINED, LEFT]


def test_topics_are_apart():
    """Leaving one room is not leaving another."""
    h = Hall(linger_s=0)
    line = h.join("ada")
    h.presence.join("attic", line)
    h.presence.leave("hall", line)
    assert h.presence.users("attic") == {"ada": 1}


def test_nothing_is_kept_of_an_empty_room():
    """A thousand visitors leave no trace."""
    h = Hall(linger_s=0)
    for number in range(1000):
        h.presence.leave(f"room:{number}", h.join("ada", f"room:{number}"))
    assert (h.presence._here, h.presence._leaving) == ({}, {})


def test_somebody_without_a_name_is_refused():
    """Nobody could be told who that is."""
    with pytest.raises(ValueError, match="has no user"):
        Hall().join(None)


async def test_on_the_wire_two_tabs_are_one_person(room):
    """Bob reads that Ada joined once and left once, through two tabs, a reset among them."""
    async with room() as r, asyncio.timeout(10):
        presence = Presence(r.manager.publish, linger_s=0)
        bob = await r.join("bob", topic="hall")

        tabs = [await r.join("ada"), await r.join("ada")]
        connections = [each for each in r.manager if each.user == "ada"]
        with presence.here("hall", connections[0]), presence.here("hall", connections[1]):
            assert (await tabs[0].receive_json())["users"] in ({"ada": 1}, {"ada": 2})
        assert [await bob.receive_json() for _ in range(2)] == [
            {"type": "presence_diff", "topic": "hall", "joined": ["ada"]},
            {"type": "presence_diff", "topic": "hall", "left": ["ada"]},
        ]


async def test_the_sweep_runs_by_itself(monkeypatch):
    """Nobody has to call it."""
    monkeypatch.setattr("labkit.connections.presence.SWEEP_S", 0.01)
    h = Hall()
    h.presence.leave("hall", h.join("ada"))
    h.clock.advance(5)
    sweeping = asyncio.ensure_future(h.presence.run())
    async with asyncio.timeout(5):
        while LEFT not in h.said:
            await asyncio.sleep(0.005)
    sweeping.cancel()


def test_whoever_extends_it_decides_what_is_told():
    """A presence of many workers keeps to itself who is still at another one."""
    told = []

    class Silent(Presence):
        def joined(self, topic, user):
            told.append(("joined", topic, user))

        def left(self, topic, user):
            told.append(("left", topic, user))

    presence = Silent(lambda _topic, _message: pytest.fail("it told"), linger_s=0)
    line = Line("ada")
    presence.join("hall", line)
    presence.leave("hall", line)
    assert told == [("joined", "hall", "ada"), ("left", "hall", "ada")]
