"""A frozen client keeps its connection and answers nothing."""

from __future__ import annotations

import pytest

from labkit.testing.frozen import FrozenClient
from labkit.testing.outcomes import Closed, Silence, Unreachable
from labkit.testing.server import LiveServer


async def test_a_frozen_client_does_not_answer_pings(app):
    """The server's ping goes unanswered, and the client learns of its end when it thaws."""
    async with (
        LiveServer(app, ws_ping_interval=0.1, ws_ping_timeout=0.5) as server,
        await FrozenClient.connect(server.ws_url + "/echo") as client,
    ):
        client.timeout_s = 0.5
        with pytest.raises(Silence):  # awake, it answers and stays
            await client.closed()
        client.freeze()
        client.timeout_s = 1.5
        with pytest.raises(Silence):  # frozen, it knows nothing
            await client.closed()
        client.thaw()
        client.timeout_s = 10
        assert await client.closed() == Closed(1011, "keepalive ping timeout")


async def test_a_client_that_cannot_connect_says_so(server):
    """A connection that fails is an error of the caller, with the cause in it."""
    with pytest.raises(Unreachable, match=r"frozen could not connect: .*HTTP 503"):
        await FrozenClient.connect(server.ws_url + "/refuse")
