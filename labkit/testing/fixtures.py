"""pytest fixtures for tests over real connections, and the proof that nothing is left.

In a `conftest.py`:

    pytest_plugins = ["labkit.testing.fixtures"]

    serve         start an application on a port of its own
    join          connect a WebSocket client
    listen        open an event stream
    valkey        a real, empty Valkey
    clock         time that moves when told to
    nothing_left  fail a test that leaves a task, a socket or a process behind

What a test opens ends with it: clients leave first, then registries must be empty, then servers
stop, and then nothing may be left. For a server that many tests share there is `live_server`.

anyio's plugin runs the tests, with `anyio_mode = "auto"` in the configuration; it comes with
anyio. pytest-asyncio runs them as well, with `asyncio_mode = "auto"`. Have one of the two.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sized
from typing import Any, Literal

import pytest

from labkit.testing.clients import SSEClient, WebSocketClient
from labkit.testing.clock import ManualClock
from labkit.testing.leftovers import Census, reset_sse_starlette
from labkit.testing.server import LiveServer
from labkit.testing.valkey import ValkeyError, ValkeyServer
from labkit.testing.waiting import until

EMPTY_TIMEOUT_S = 1.0  # until a server has noticed that its clients are gone

Serve = Callable[..., Awaitable[LiveServer]]
Join = Callable[..., Awaitable[WebSocketClient]]
Listen = Callable[..., Awaitable[SSEClient]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, the loop that uvicorn uses."""
    return "asyncio"


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Fail the test when a task, a TCP socket or a child process outlives it."""
    census = Census()
    yield
    reset_sse_starlette()
    if left := await census.leftovers():
        pytest.fail(str(left))


@pytest.fixture
async def serve(nothing_left: None) -> AsyncIterator[Serve]:  # noqa: ARG001 - it ends after this
    """Give a function that starts a server for an application.

    `server = await serve(app, empty=[manager])`. `empty` names what must hold nothing when the
    clients have left: a manager, a dictionary of topics.
    """
    servers: list[LiveServer] = []
    registries: list[Sized] = []

    async def start(app: Any, *, empty: list[Sized] | None = None, **options: Any) -> LiveServer:  # noqa: ANN401 - an ASGI application, uvicorn's options
        registries.extend(empty or [])
        servers.append(LiveServer(app, **options))
        return await servers[-1].start()

    yield start
    try:
        for registry in registries:
            await _emptied(registry)
    finally:
        for server in servers:
            await server.stop()


@pytest.fixture
async def join(serve: Serve) -> AsyncIterator[Join]:  # noqa: ARG001 - it ends after this
    """Give a function that connects a WebSocket client.

    `ada = await join(server, "/ws", name="ada")`
    """
    clients: list[WebSocketClient] = []

    async def connect(server: LiveServer, path: str = "/ws", **options: Any) -> WebSocketClient:  # noqa: ANN401 - the client's
        clients.append(await WebSocketClient.connect(server.ws_url + path, **options))
        return clients[-1]

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture
async def listen(serve: Serve) -> AsyncIterator[Listen]:  # noqa: ARG001 - it ends after this
    """Give a function that opens an event stream.

    `ada = await listen(server, "/events", name="ada")`
    """
    clients: list[SSEClient] = []

    async def connect(server: LiveServer, path: str = "/events", **options: Any) -> SSEClient:  # noqa: ANN401 - the client's
        clients.append(await SSEClient.connect(server.url + path, **options))
        return clients[-1]

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """Give a running Valkey that the test may kill, hang and restart; skip when there is none."""
    server = ValkeyServer()
    try:
        server.start()
    except ValkeyError as error:
        pytest.skip(str(error))
    yield server
    server.stop()


@pytest.fixture
def clock() -> ManualClock:
    """Give a clock at 0 s."""
    return ManualClock()


def live_server(
    make_app: Callable[[], Any],
    *,
    scope: Literal["session", "package", "module", "class", "function"] = "module",
    **options: Any,  # noqa: ANN401 - LiveServer's
) -> Any:  # noqa: ANN401 - a fixture
    """Make a fixture of one server that many tests share.

    `server = live_server(create_app)` in a test module or a `conftest.py`.

    Args:
        make_app: Called once for each server.
        scope: How long one server lives.
        options: What `LiveServer` takes.
    """

    @pytest.fixture(scope=scope)
    async def shared(anyio_backend: str) -> AsyncIterator[LiveServer]:  # noqa: ARG001 - its loop
        async with LiveServer(make_app(), **options) as server:
            yield server

    return shared


async def _emptied(registry: Sized) -> None:
    try:
        await until(lambda: not len(registry), timeout_s=EMPTY_TIMEOUT_S)
    except TimeoutError:
        kind, count = type(registry).__name__, len(registry)
        pytest.fail(f"{kind} still holds {count} when its clients have left")
