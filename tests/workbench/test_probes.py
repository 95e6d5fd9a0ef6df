"""Probes tell what one client sees, a row for each thing it does."""

from fastapi import FastAPI, HTTPException, WebSocket

from labkit.testing.server import LiveServer
from labkit.workbench.probes import dial, knock


async def test_the_dial_tells_reply_silence_and_end():
    """Each input has a connection of its own."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        match await websocket.receive_text():
            case "answer":
                await websocket.send_json({"type": "error", "code": "bad_json"})
            case "plain":
                await websocket.send_text("hello")
            case "close":
                await websocket.close(1008, "no")
            case "drop":
                return
        await websocket.receive_text()

    async with LiveServer(app) as server:
        inputs = {word: word for word in ("answer", "plain", "close", "drop", "nothing")}
        table = await dial(f"{server.ws_url}/ws", inputs, patience_s=0.1)
        refused = await dial(f"{server.ws_url}/none", {"any": ""})
    assert table.rows == (
        ("answer", "error bad_json", "open"),
        ("plain", "hello", "open"),
        ("close", "close 1008", "ended: no"),
        ("drop", "no close frame", "ended"),
        ("nothing", "no answer", "open"),
    )
    assert refused.rows == (("any", "HTTP 403", "refused"),)


async def test_knocking_tells_what_client_and_log_see():
    """A refusal is HTTP or a close code, and a line, a traceback or nothing in the log."""
    app = FastAPI()

    @app.websocket("/status")
    async def status(websocket: WebSocket):
        raise HTTPException(401, "no token")

    @app.websocket("/bug")
    async def bug(websocket: WebSocket):
        raise ValueError

    @app.websocket("/code")
    async def code(websocket: WebSocket):
        await websocket.accept()
        await websocket.close(4500, "no token")

    async with LiveServer(app) as server:
        table = await knock(server, {"status": "/status", "bug": "/bug", "code": "/code"})
    assert table.rows == (
        ("status", "HTTP 401 and a reason", "a line"),
        ("bug", "HTTP 500 and a reason", "a traceback"),
        ("code", "close 4500 no token", "nothing"),
    )
