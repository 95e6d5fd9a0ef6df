"""The attacks themselves: each is what its name says, and its outcome is told in few words."""

import json

import pytest
from fastapi import FastAPI, WebSocket

from labkit.testing.hostile import FRAMES, Row, attack, fragments, messages, origins, storm
from labkit.testing.server import LiveServer

VALID = {"type": "note", "data": {"a": 1}}


@pytest.fixture
async def url():
    """Serve an endpoint that does what it is told."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            if text == "close":
                await websocket.close(1008)
                return
            if text == "crash":
                raise KeyError(text)
            if text != "silence":
                await websocket.send_text(text)

    async with LiveServer(app) as server:
        yield server.ws_url


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [
        ("hello", "answered"),
        ('{"type": "error"}', "error"),
        ('{"type": "ok"}', "answered"),
        ("silence", "silence"),
        ("close", "close 1008"),
        ("crash", "no close frame"),
    ],
)
async def test_each_outcome_has_its_words(url, sent, outcome):
    """What the server did, as a table tells it."""
    assert await attack(url + "/ws", Row("row", sent, ())) == outcome


async def test_a_refused_handshake_is_its_status(url):
    """The row was never sent."""
    assert await attack(url + "/nowhere", Row("row", "hello", ())) == "HTTP 403"


@pytest.mark.parametrize("row", [*FRAMES, storm(3)], ids=lambda row: row.name)
async def test_raw_rows_are_below_any_message(url, row):
    """They go on the wire as they are."""
    outcome = await attack(url + "/ws", row)
    assert outcome in {*row.promise, "answered"}


def test_only_one_message_is_valid():
    """The others break JSON, the envelope, or what is inside; all have one shape to break."""
    rows = messages(VALID, "data")
    assert [row.name for row in rows if row.promise == ("answered",)] == ["a valid message"]
    assert json.loads(rows[0].sent) == VALID
    assert len(rows) == 25


def test_a_million_fragments_are_a_million_frames():
    """Six bytes each."""
    assert len(fragments(1_000_000).sent) == 6 * 1_000_001


def test_ten_spellings_are_ten():
    """None of them is the origin itself."""
    spellings = origins("https://app.example")
    assert len(set(spellings.values())) == len(spellings) == 10
    assert "https://app.example" not in spellings.values()
