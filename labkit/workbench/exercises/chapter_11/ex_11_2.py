"""Exercise 11.2: a fixture that leaves nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from fastapi import FastAPI, WebSocket

from labkit.testing.clients import Rejected, WebSocketClient
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.workbench.exercises.engine import Exercise, expect_equal, scene

Visit = Callable[[Sequence[str]], AsyncIterator[list[WebSocketClient]]]

exercise = Exercise[Visit](
    "11.2",
    title="a fixture that leaves nothing",
    hints=(
        "Three ways to leave: the test ends, the test fails, the third client is refused.",
        "Who is connected already when the third is refused? They must leave as well.",
        "The stack closes what was entered: `await stack.enter_async_context(client)`.",
    ),
)


@exercise.solution
async def visitors(urls: Sequence[str]) -> AsyncIterator[list[WebSocketClient]]:
    """Connect one client for each address, hand them to the test, and let all of them leave."""
    clients = []
    async with AsyncExitStack() as stack:
        for url in urls:
            # hole: connect, and have the stack close this one whatever happens
            client = await WebSocketClient.connect(url)
            clients.append(await stack.enter_async_context(client))
            # end
        yield clients


@exercise.wrong("stay connected when the test fails")
async def without_finally(urls: Sequence[str]) -> AsyncIterator[list[WebSocketClient]]:
    """Clean up after the `yield`, which a failing test never comes back to."""
    async with AsyncExitStack() as stack:
        clients = []
        for url in urls:
            client = await WebSocketClient.connect(url)
            clients.append(await stack.enter_async_context(client))
        stack.pop_all()
    yield clients
    for client in clients:
        await client.close()


@exercise.wrong("stay connected when the last is refused")
async def tries_too_late(urls: Sequence[str]) -> AsyncIterator[list[WebSocketClient]]:
    """Begin the `try` when all are connected."""
    clients = [await WebSocketClient.connect(url) for url in urls]
    try:
        yield clients
    finally:
        for client in clients:
            await client.close()


@exercise.wrong("stay connected when the test has ended")
async def closes_the_last(urls: Sequence[str]) -> AsyncIterator[list[WebSocketClient]]:
    """Close the client that the loop variable holds."""
    clients = []
    for url in urls:
        client = await WebSocketClient.connect(url)
        clients.append(client)
    try:
        yield clients
    finally:
        await client.close()


@exercise.wrong("the refusal is the test's business")
async def hides_the_refusal(urls: Sequence[str]) -> AsyncIterator[list[WebSocketClient]]:
    """Go on without the one that was refused."""
    async with AsyncExitStack() as stack:
        clients = []
        with suppress(Rejected):
            for url in urls:
                client = await WebSocketClient.connect(url)
                clients.append(await stack.enter_async_context(client))
        yield clients


class _FailedError(Exception):
    """What a failing test raises."""


@exercise.check
async def check(visitors: Visit) -> None:
    """A test that ends, one that fails, and a server that refuses the third."""
    inside: set[WebSocket] = set()
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        inside.add(websocket)
        with suppress(Exception):
            await websocket.receive_text()
        inside.discard(websocket)

    async with LiveServer(app) as server:
        url = f"{server.ws_url}/ws"
        fixture = asynccontextmanager(visitors)
        endings: tuple[tuple[str, str, list[str], type[Exception] | None], ...] = (
            ("a test that ends", "when the test has ended", [url] * 2, None),
            ("a test that fails", "when the test fails", [url] * 2, _FailedError),
            (
                "a third that is refused",
                "when the last is refused",
                [url, url, f"{server.ws_url}/no"],
                Rejected,
            ),
        )
        for given, when, urls, raised in endings:
            seen: type[Exception] | None = None
            try:
                async with fixture(urls) as clients:
                    expect_equal(len(clients), len(urls), given=given, because=_WHOSE[given])
                    await until(lambda: len(inside) == 2)
                    _fail(raised)
            except (_FailedError, Rejected) as error:
                seen = type(error)
            because = "let it out: the refusal is the test's business"
            expect_equal(seen, raised, given=given, because=because)
            because = f"clients stay connected {when}"
            with scene(given, because=because):
                await until(lambda: not inside, timeout_s=0.3)


def _fail(raised: type[Exception] | None) -> None:
    if raised is _FailedError:
        raise _FailedError


_WHOSE = {
    "a test that ends": "the test wants one client for each address",
    "a test that fails": "the test wants one client for each address",
    "a third that is refused": "the refusal is the test's business: let it out",
}
