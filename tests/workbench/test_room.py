"""The small server that tests are judged on keeps its promises."""

import pytest

from labkit.testing.clients import Disconnected
from labkit.testing.leftovers import Census
from labkit.workbench.room import Room


async def test_who_listens_hears_what_is_published():
    """With the topic and the fields, and nobody else hears it."""
    async with Room() as room:
        ada, bob = await room.join("ada", "news"), await room.join("bob")
        room.publish("news", n=1)
        assert await ada.receive_json() == {"type": "event", "topic": "news", "n": 1}
        assert room.topics == {"news": 1}
        await bob.send({"type": "ping"})
        assert await bob.receive_until("pong") == [{"type": "pong"}]


async def test_a_private_topic_is_for_nobody():
    """It is refused, and the connection stays."""
    async with Room() as room:
        ada = await room.join("ada", "private:1")
        assert (room.topics, ada.open) == ({}, True)


async def test_a_stalled_guest_is_subscribed_when_it_is_returned():
    """A test can publish at once."""
    async with Room() as room:
        await room.stall("eve", "news")
        assert room.topics == {"news": 1}


async def test_a_closed_room_has_no_guests_and_leaves_nothing():
    """Guests leave first, then the server stops."""
    census = Census()
    async with Room() as room:
        ada = await room.join("ada", "news")
        await room.stall("eve", "news")
    with pytest.raises(Disconnected):
        await ada.receive()
    assert not await census.leftovers()
