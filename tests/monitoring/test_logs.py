"""Every line is JSON and says whose it is; each connection has one `closed` line."""

# ruff: noqa: PLC0415 - a program for another process imports what it needs

import asyncio
import io
import json
import logging

import pytest
import structlog
from fastapi import FastAPI, WebSocket
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.websockets import WebSocketDisconnect

from labkit.architecture import encode
from labkit.monitoring import get_logger, json_logs, redact, told
from labkit.testing.clients import WebSocketClient
from labkit.testing.faults import reset
from labkit.testing.process import ServerProcess
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until

log = get_logger("shop")


async def test_a_connection_s_story(room, written):
    """From opened to closed, business code and the rooms' own lines included: one id, one order."""

    async def on_text(connection, text):
        await asyncio.sleep(0)
        log.info("order placed", count=3)
        connection.send(encode("ok"))

    async with room(on_text=on_text) as here:
        client = await here.join()
        here.clock.advance(2.5)
        await client.close(1000, "done")
        await until(lambda: written.named("closed"))
        (visit,) = here.visits
    mine = [line for line in written.lines if line.get("connection_id") == visit.id]
    words = [line["event"].partition(" ")[0] for line in mine]
    assert words == ["opened", "connected", "order", "disconnected", "closed"]
    story = {"code": 1000, "reason": "done", "by": "peer", "duration_s": 2.5, "received": 1}
    assert story.items() <= mine[-1].items()
    assert (mine[-1]["sent"], mine[-1]["level"]) == (1, "info")


async def test_each_has_one_closed_line_whatever_ends_it(room, written):
    """A goodbye, a reset, a bug, and the server's own end while a handler works."""

    async def on_text(connection, text):
        if "bug" in text:
            raise KeyError("a bug")
        if "work" in text:
            await asyncio.Event().wait()
        connection.send(encode("ok"))

    async with room(on_text=on_text) as here:
        polite, cut, buggy, busy = [await here.join(name) for name in "abcd"]
        await polite.close()
        reset(cut)
        await buggy.send("bug")
        await busy.send("work")
        await until(lambda: len(written.named("closed")) == 3)
    closed = written.named("closed")
    assert {line["connection_id"] for line in closed} == {visit.id for visit in here.visits}
    assert len(closed) == 4
    assert [line["level"] for line in closed].count("error") == 1
    (failed,) = [line for line in written.lines if line.get("exception")]
    assert "KeyError: 'a bug'" in failed["exception"]
    assert failed["connection_id"] == here.visits[2].id


@pytest.mark.parametrize(
    ("error", "level", "code"),
    [
        (asyncio.CancelledError(), "info", 1012),
        (WebSocketDisconnect(1001), "info", 1001),
        (KeyError("a bug"), "error", 1011),
    ],
)
async def test_a_plain_endpoint_has_its_closed_line_too(written, error, level, code):
    """Nothing that is raised is swallowed; only our own fault has a traceback."""
    scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b"token=1"}
    with pytest.raises(type(error)), told(WebSocket(scope, None, None)):
        raise error
    (closed,) = written.named("closed")
    assert (closed["level"], closed["code"]) == (level, code)
    assert ("exception" in closed) == (level == "error")


async def test_behind_a_unix_socket_there_is_no_client(written):
    """The address is null, and nothing fails."""
    scope = {"type": "websocket", "path": "/ws", "headers": [], "query_string": b"", "client": None}
    with told(WebSocket(scope, None, None)):
        pass
    assert written.named("opened")[0]["client"] is None


async def test_a_hundred_interleaved_lines_keep_their_ids(room, written):
    """Context belongs to a task; a line never has a neighbour's id."""

    async def on_text(connection, text):
        await asyncio.sleep(0)
        log.info("said", own=connection.id)
        connection.send(encode("ok"))

    async with room(on_text=on_text) as here:
        clients = [await here.join(name) for name in "ab"]
        await asyncio.gather(*(c.send("x") for c in clients * 49))
        await until(lambda: len(written.named("said")) == 100)
    assert all(line["own"] == line["connection_id"] for line in written.named("said"))


async def test_a_receiver_has_its_own_key(room, written):
    """In the sender's task the connection is the sender; whom it is about is said apart."""

    async def on_text(connection, text):
        for each in here.manager:
            log.info("deliver", receiver=each.id)
        connection.send(encode("ok"))

    async with room(on_text=on_text) as here:
        await here.join("ada")
        await here.join("bob")
        ada, bob = here.visits
    last = written.named("deliver")[-2:]
    assert {line["connection_id"] for line in last} == {bob.id}
    assert {line["receiver"] for line in last} == {ada.id, bob.id}


FORGED = 'x\n2026-01-01 [info] login_ok user=admin\x1b[2J\u2028{"event": "login_ok"}'


def test_a_line_cannot_be_forged(written):
    """Neither in a value nor in an f-string, neither by structlog nor by `logging`."""
    log.info("connected", name=FORGED)
    log.info(f"connected {FORGED}")  # noqa: G004 - what people write
    logging.getLogger("old").warning(f"connected {FORGED}")  # noqa: G004
    assert [line["level"] for line in written.lines] == ["info", "info", "warning"]
    assert "\x1b" not in written.stream.getvalue()
    assert len(written.stream.getvalue().splitlines()) == 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    value=st.recursive(
        st.text()
        | st.binary()
        | st.floats()
        | st.dictionaries(st.integers() | st.text(), st.text()),
        st.lists,
    )
)
def test_whatever_is_logged_is_one_line(value):
    """Any value at all, surrogates and bytes included."""
    stream = io.StringIO()
    with json_logs(stream):
        log.info("said", value=value)
    (line,) = stream.getvalue().splitlines()
    json.loads(line, parse_constant=pytest.fail)  # NaN is no JSON


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln"


@pytest.mark.parametrize(
    "event",
    [
        {"event": '127.0.0.1 - "WebSocket /ws?user_id=7&token=SECRET123" [accepted]'},
        {"event": "GET http://h/ws?ticket=SECRET123#x failed"},
        {"event": "Authorization: Bearer SECRET123"},
        {"event": f"cannot read {JWT}"},
        {"event": "x", "Token": "SECRET123"},
        {"event": "x", "headers": {"cookie": "SECRET123", "list": ["?t=SECRET123"]}},
        {"event": "x", "exception": "ValueError: /ws?token=SECRET123"},
    ],
)
def test_a_secret_is_cut(event):
    """By its key at any depth, by its place in an address, by its look."""
    text = json.dumps(redact(None, "info", event))
    assert "SECRET123" not in text
    assert JWT not in text
    assert "[cut]" in text


def test_a_question_is_not_a_query():
    """What only looks a little like an address is kept."""
    said = {"event": "really? a=b, or /path?", "count": 3}
    assert redact(None, "info", dict(said)) == said


def test_below_the_level_nothing_is_written():
    """Neither by structlog nor by `logging`."""
    stream = io.StringIO()
    with json_logs(stream, level=logging.WARNING):
        log.info("quiet")
        structlog.get_logger("app").info("quiet")
        structlog.get_logger("app").warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_leaving_puts_everything_back(capsys):
    """Handlers, level and structlog's own configuration are what they were."""
    before = structlog.get_config(), logging.getLogger().handlers[:], logging.getLogger().level
    with json_logs(io.StringIO()):
        assert structlog.get_config() != before[0]
    after = structlog.get_config(), logging.getLogger().handlers[:], logging.getLogger().level
    assert after == before
    log.info("nobody listens")
    assert capsys.readouterr() == ("", "")


def program(port):
    """Serve with uvicorn's lines in the same pipeline."""
    import sys

    import uvicorn
    from fastapi import FastAPI, WebSocket

    from labkit.architecture import Manager, Router
    from labkit.monitoring import json_logs, told
    from labkit.websocket import Session

    app, manager = FastAPI(), Manager()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        with told(websocket) as visit:
            await visit.run(Session(websocket=websocket, manager=manager, on_text=Router()))

    with json_logs(sys.stdout):
        uvicorn.run(app, port=port, log_config=None)


async def test_a_service_s_whole_output_is_json_without_secrets():
    """The accept line of uvicorn included, with the client and without its token."""
    async with ServerProcess(program) as process:
        client = await WebSocketClient.connect(f"{process.ws_url}/ws?token=SECRET123")
        await client.close()
        await until(lambda: any('"closed"' in line for line in process.lines))
        lines = [json.loads(line) for line in process.lines]
    (accepted,) = [line for line in lines if "[accepted]" in line["event"]]
    assert accepted["logger"] == "uvicorn.error"
    assert "/ws?[cut]" in accepted["event"]
    assert "SECRET123" not in "\n".join(map(str, lines))


async def test_the_wrong_client_is_no_fault_of_ours(written):
    """Somebody who is refused before the handler costs no error line of the room's."""
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        with told(websocket):
            await websocket.accept()
            await websocket.receive_text()

    async with LiveServer(app) as server:
        client = await WebSocketClient.connect(f"{server.ws_url}/ws")
        client.abort()
        await until(lambda: written.named("closed"))
    assert [line["level"] for line in written.named("closed")] == ["info"]
