"""Who is here at all workers: without a server, with a clock that is moved."""

import asyncio
import json

import pytest

from labkit.architecture import Connection
from labkit.production.presence import SharedPresence
from labkit.sse import BrokerUnavailableError
from labkit.testing.clock import ManualClock
from labkit.testing.waiting import until


class Outbox:
    """Takes whatever is sent."""

    def __init__(self):
        self.sent = []

    def put(self, message):
        self.sent.append(json.loads(message.payload))
        return True


def connection(user):
    return Connection(Outbox(), on_close=lambda: None, user=user)


class Worker:
    """One worker's presence, on a wire that all of them share."""

    def __init__(self, wire, clock):
        self.told = []
        self.wire = wire
        self.down = False
        self.presence = SharedPresence(
            lambda topic, message: self.told.append(json.loads(message.payload)),
            self.signal, refresh_s=5.0, linger_s=0.0, clock=clock,
        )  # fmt: skip
        wire.append(self.presence.hear)

    async def signal(self, _name, payload):
        if self.down:
            raise BrokerUnavailableError("down")
        for hear in self.wire:
            hear(payload.encode())

    @property
    def news(self):
        return [
            (kind, user) for each in self.told for kind in ("joined", "left")
            for user in each.get(kind, ())
        ]  # fmt: skip


@pytest.fixture
async def workers():
    """Two workers that gossip."""
    wire, clock = [], ManualClock()
    pair = [Worker(wire, clock), Worker(wire, clock)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.presence.gossip()) for each in pair]
        yield *pair, clock
        for task in tasks:
            task.cancel()


async def test_a_user_of_one_worker_is_seen_at_the_other(workers):
    """And told there once, in state and diff."""
    here, there, _ = workers
    here.presence.join("r", connection("ada"))
    await until(lambda: there.presence.users("r") == {"ada": 1})
    assert there.news == [("joined", "ada")]
    bob = connection("bob")
    there.presence.join("r", bob)
    assert bob.outbox.sent[0]["users"] == {"ada": 1, "bob": 1}


async def test_a_user_with_tabs_at_two_workers_leaves_with_the_last(workers):
    """A tab that closes is no news."""
    here, there, _ = workers
    tabs = [connection("ada"), connection("ada")]
    here.presence.join("r", tabs[0])
    await until(lambda: there.news)
    there.presence.join("r", tabs[1])
    await until(lambda: here.presence.users("r") == {"ada": 2})
    here.presence.leave("r", tabs[0])
    await until(lambda: there.presence.users("r") == {"ada": 1})
    assert ("left", "ada") not in here.news + there.news
    there.presence.leave("r", tabs[1])
    await until(lambda: ("left", "ada") in here.news and ("left", "ada") in there.news)
    assert here.presence.users("r") == {}


async def test_a_worker_that_was_killed_is_forgotten(workers):
    """Three silences, and its users have left."""
    here, there, clock = workers
    here.presence.join("r", connection("ada"))
    await until(lambda: there.news)
    here.down = True
    clock.advance(16.0)
    there.presence.forget_the_silent()
    assert there.news == [("joined", "ada"), ("left", "ada")]


async def test_a_new_worker_asks_and_knows_at_once(workers):
    """Not after `refresh_s`."""
    here, _, clock = workers
    here.presence.join("r", connection("ada"))
    await until(lambda: not here.presence._changed)
    new = Worker(here.wire, clock)
    gossip = asyncio.create_task(new.presence.gossip())
    await until(lambda: new.presence.users("r") == {"ada": 1})
    gossip.cancel()
    await asyncio.wait({gossip})


async def test_what_was_lost_the_next_whole_makes_good(workers):
    """A change during an outage is not said twice, but it is in the whole."""
    here, there, clock = workers
    here.down = True
    here.presence.join("r", connection("ada"))
    await until(lambda: not here.presence._changed)
    here.down = False
    clock.advance(6.0)
    here.presence._wake.set()
    await until(lambda: there.presence.users("r") == {"ada": 1})


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"worker": 5}', b"\xff", b'{"worker":"w"}'])
async def test_nonsense_is_nobody(workers, payload):
    """A stranger on the channel changes nothing."""
    here, _, _ = workers
    here.presence.hear(payload)
    assert here.presence.users("r") == {}
