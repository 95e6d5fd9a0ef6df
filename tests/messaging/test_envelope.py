"""A version that both sides speak, and the server's time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from fastapi import FastAPI, WebSocket

from labkit.messaging import choose, negotiate, stamped
from labkit.testing.clients import Closed, WebSocketClient
from labkit.testing.server import LiveServer


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["lab.v1"], "lab.v1"),
        (["lab.v1", "lab.v2"], "lab.v2"),
        (["token.abc", "lab.v1"], "lab.v1"),
        (["lab.v9"], None),
        ([], None),
    ],
)
def test_the_best_version_of_both_is_chosen(offered, chosen):
    """The server's order decides; what it does not know is passed over."""
    assert choose(offered, ("lab.v2", "lab.v1")) == chosen


@pytest.mark.parametrize("offered", [["lab.v9"], None])
async def test_a_client_without_a_common_version_reads_why(offered):
    """It gets an error that lists the versions, and a code that means stop."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        assert await negotiate(websocket) is None

    async with LiveServer(app) as server:
        client = await WebSocketClient.connect(f"{server.ws_url}/ws", subprotocols=offered)
        error = await client.receive_json()
        assert (error["code"], error["versions"]) == ("unknown_version", ["lab.v1"])
        assert await client.closed() == Closed(1008, "unknown version")


async def test_the_version_is_the_subprotocol(room):
    """A client learns in the handshake which version was chosen."""
    async with room() as r:
        client = await r.join(subprotocols=["lab.v9", "lab.v1"])
        assert client.subprotocol == "lab.v1"


def test_the_time_is_the_servers_in_utc():
    """Whatever zone the clock has, the text is RFC 3339 in UTC, with milliseconds."""
    there = timezone(timedelta(hours=2))
    message = stamped("event", now=lambda: datetime(2026, 1, 1, 14, tzinfo=there))
    assert message.payload == '{"type":"event","time":"2026-01-01T12:00:00.000Z"}'


@pytest.mark.parametrize(
    "poison", [float("nan"), "\ud800", object(), datetime(2026, 1, 1, tzinfo=UTC)]
)
def test_what_json_cannot_say_fails_at_the_sender(poison):
    """There is no message that a client could not parse."""
    with pytest.raises(ValueError, match="cannot be encoded as JSON"):
        stamped("event", data=poison)
