"""A secret is found wherever and however it is written; what is no secret is not."""

import base64
import logging

import nbformat
import pytest
from fastapi import FastAPI, WebSocket

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.secrets import Recorder, found_in, lines_of, tokens_in

PARTS = (
    "eyJhbGciOiJIUzI1NiIsImtpZCI6Im5vdyJ9",
    "eyJzdWIiOiJhZGEiLCJleHAiOjF9x",
    "Zm9yZ2VkLXNpZ25hdHVyZS1vZi0zMg",
)
SECRET = ".".join(PARTS)
TICKET = "Qm9va2luZy1hLXRhYmxlLWZvci10d28tYXQtOHBt/+="


@pytest.mark.parametrize(
    "line",
    [
        f"GET /ws?token={SECRET}",
        f"header {PARTS[0]} only",
        f"signature {PARTS[2]}",
        f"in base64: {base64.b64encode(SECRET.encode()).decode()}",
    ],
)
def test_every_form_of_a_token_is_found(line):
    """Whole, in parts, and encoded."""
    assert found_in({"log": ["a line", line]}, [SECRET]) == {"log": 1}


def test_a_ticket_is_found_quoted_and_cut_off():
    """As an address shows it, and when a log line ends too early."""
    lines = ["ticket=Qm9va2luZy1hLXRhYmxlLWZvci10d28tYXQtOHBt%2F%2B%3D", TICKET[:30], "Qm9va2"]
    assert found_in({"log": lines}, [TICKET]) == {"log": 2}


def test_a_secret_that_is_everywhere_is_none():
    """Searching for a short word would find it in every log."""
    with pytest.raises(ValueError, match="3 characters"):
        found_in({}, ["ada"])


def test_the_recorder_keeps_low_levels_and_tracebacks_and_puts_the_level_back():
    """What a service would log at INFO is there, with the text of its exceptions."""
    root = logging.getLogger()
    before = root.level
    with Recorder() as recorder:
        logging.getLogger("labkit.some").info("entered")
        logging.getLogger("labkit.some").debug("not this")
        try:
            raise ValueError(SECRET)
        except ValueError:
            logging.getLogger("other").exception("failed")
    assert recorder.lines[0] == "INFO labkit.some entered"
    assert len(recorder.lines) == 2
    assert found_in({"log": recorder.lines}, [SECRET]) == {"log": 1}
    assert root.level == before
    assert recorder not in root.handlers


async def test_a_servers_log_is_searched_with_its_addresses():
    """The line that uvicorn writes for a WebSocket holds the query string."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()

    async with LiveServer(app) as server:
        await (await WebSocketClient.connect(f"{server.ws_url}/ws?token={SECRET}")).closed()
        await (await WebSocketClient.connect(f"{server.ws_url}/ws")).closed()
        assert found_in({"server": lines_of(server.log)}, [SECRET]) == {"server": 1}


def test_a_stored_output_with_a_token_is_named():
    """Whatever kind of output it is in."""
    cell = nbformat.v4.new_code_cell("token", id="leak")
    cell.outputs = [nbformat.v4.new_output("execute_result", data={"text/plain": f"'{SECRET}'"})]
    clean = nbformat.v4.new_code_cell("1", id="clean")
    clean.outputs = [nbformat.v4.new_output("stream", text="eyJ is how a token begins")]
    assert tokens_in(nbformat.v4.new_notebook(cells=[cell, clean])) == ["leak"]
