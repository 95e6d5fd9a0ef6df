"""What we rely on in PyJWT, uvicorn and FastAPI. Red here means: a lesson has to change."""

import asyncio
from typing import Annotated

import httpx
import jwt
import pytest
from fastapi import Depends, FastAPI, WebSocket, WebSocketException
from sse_starlette import EventSourceResponse

from labkit.testing.clients import Rejected, Silence, SSEClient, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.workbench.secrets import found_in, lines_of
from tests.auth.conftest import KEY

SECRET = "eyJhbGciOiJIUzI1NiJ9.a-token-that-nobody-may-see.0123456789abcdefghij"


def test_pyjwt_accepts_a_token_without_an_end():
    """Unless `require` names `exp`, a token lives for ever."""
    endless = jwt.encode({"sub": "ada"}, KEY, "HS256")
    assert jwt.decode(endless, KEY, algorithms=["HS256"]) == {"sub": "ada"}
    with pytest.raises(jwt.MissingRequiredClaimError):
        jwt.decode(endless, KEY, algorithms=["HS256"], options={"require": ["exp"]})


def test_pyjwt_only_warns_at_a_short_key():
    """Six bytes are enough to sign with; so the length is ours to check."""
    with pytest.warns(Warning, match="below the minimum"):
        jwt.encode({"sub": "ada"}, "secret", "HS256")


async def test_uvicorn_logs_the_query_string_of_a_websocket():
    """With the access log off: the line is of another logger."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.close()

    async with LiveServer(app, access_log=False) as server:
        await (await WebSocketClient.connect(f"{server.ws_url}/ws?token={SECRET}")).closed()
        assert found_in({"log": lines_of(server.log)}, [SECRET]) == {"log": 1}


@pytest.mark.parametrize(
    "shown",
    [
        {"headers": {"authorization": f"Bearer {SECRET}"}},
        {"headers": {"cookie": f"session={SECRET}"}},
        {"subprotocols": ["app.v1", f"bearer.{SECRET}"]},
    ],
)
async def test_uvicorn_logs_no_header(shown):
    """Authorization, cookie and subprotocol stay out of the log."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.close()

    async with LiveServer(app) as server:
        await (await WebSocketClient.connect(f"{server.ws_url}/ws", **shown)).closed()
        assert found_in({"log": lines_of(server.log)}, [SECRET]) == {"log": 0}


async def test_uvicorn_leaves_a_handshake_with_a_long_header_unanswered():
    """Beyond 8 KiB in one line there is no refusal, no line in the log, and no end."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.close()

    async with LiveServer(app) as server:
        url = f"{server.ws_url}/ws"
        fits = await WebSocketClient.connect(url, headers={"authorization": "x" * 8_000})
        await fits.closed()
        with pytest.raises(Silence):
            await WebSocketClient.connect(
                url, headers={"authorization": "x" * 9_000}, timeout_s=0.3
            )
        assert not [record for record in server.log if record.levelname == "ERROR"]


async def test_to_close_and_raise_before_accept_is_a_traceback():
    """The guide's refusal answers twice: the client sees a bare 403, the log an error."""

    async def refuse(websocket: WebSocket):
        await websocket.close(1008, "invalid token")
        raise WebSocketException(1008)

    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket, user: Annotated[None, Depends(refuse)]):
        await websocket.accept()

    async with LiveServer(app) as server:
        with pytest.raises(Rejected) as caught:
            await WebSocketClient.connect(f"{server.ws_url}/ws")
        assert (caught.value.status, caught.value.body) == (403, b"")
        assert any("Traceback" in (record.exc_text or "") for record in server.log)


@pytest.mark.parametrize(("scope", "status"), [("request", 500), ("function", 200)])
async def test_a_yield_dependency_is_held_as_long_as_the_stream(scope, status):
    """Two streams use up a pool of two, unless the dependency ends with the function."""
    pool, app = asyncio.Semaphore(2), FastAPI()

    async def database():
        async with asyncio.timeout(0.3):
            await pool.acquire()
        try:
            yield "row"
        finally:
            pool.release()

    async def forever():
        yield {"data": "hello"}
        await asyncio.Event().wait()

    @app.get("/events")
    async def events(row: Annotated[str, Depends(database, scope=scope)]):
        return EventSourceResponse(forever())

    @app.get("/me")
    async def me(row: Annotated[str, Depends(database, scope=scope)]):
        return row

    async with LiveServer(app) as server, httpx.AsyncClient(trust_env=False) as http:
        streams = [await SSEClient.connect(f"{server.url}/events") for _ in range(2)]
        for stream in streams:
            await stream.next()
        assert (await http.get(f"{server.url}/me")).status_code == status
        for stream in streams:
            await stream.close()
