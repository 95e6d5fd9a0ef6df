"""Hostile input against two servers, as a table."""

from contextlib import AsyncExitStack

from fastapi import FastAPI, WebSocket

from labkit.testing.hostile import Row
from labkit.testing.server import LiveServer
from labkit.workbench.matrix import matrix

ROWS = (Row("good", "hello", ("answered",)), Row("bad", "{", ("error", "close 1008")))


def server(answer):
    """Return a server that answers everything with one text, or crashes without one."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(answer[text])

    return LiveServer(app)


async def test_both_are_asked_the_same_and_marked():
    """A promise that is kept has a tick, another a cross; the words are beside both."""
    async with AsyncExitStack() as stack:
        naive = await stack.enter_async_context(server({"hello": "hi"}))
        ours = await stack.enter_async_context(server({"hello": "hi", "{": '{"type": "error"}'}))
        seen = await matrix(ROWS, {"naive": naive.ws_url + "/ws", "ours": ours.ws_url + "/ws"})
    assert (seen.broken("naive"), seen.broken("ours")) == (1, 0)
    assert seen.outcome("ours", "bad") == "error"
    assert str(seen).splitlines()[2:] == [
        "good           answered   ✓ answered        ✓ answered",
        "bad            error      ✗ no close frame  ✓ error",
        "everyone else  connected  ✓ connected       ✓ connected",
    ]
    assert "<table>" in seen._repr_mimebundle_()["text/html"]
