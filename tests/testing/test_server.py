"""The live server: starts at once, prints nothing, leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from contextvars import ContextVar

import httpx
import pytest
from fastapi import FastAPI, WebSocket

from labkit.testing.clients import Closed, SSEClient, Unreachable, WebSocketClient
from labkit.testing.faults import StalledReader, StalledStream
from labkit.testing.server import LiveServer, StartupError


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(url)


async def test_serves_on_a_port_of_its_own(server):
    """A started server answers under its own address."""
    assert server.running
    assert (await get(server.url + "/finite")).status_code == 200
    assert server.ws_url == f"ws://127.0.0.1:{server.port}"


async def test_ten_servers_at_once_have_ten_ports(app):
    """Servers do not get in each other's way."""
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(LiveServer(app)) for _ in range(10)]
        answers = await asyncio.gather(*(get(server.url + "/finite") for server in servers))
        assert [answer.status_code for answer in answers] == [200] * 10
        assert len({server.port for server in servers}) == 10


async def test_nobody_listens_after_the_stop(app):
    """After stop, the port refuses connections and `running` says so."""
    server = await LiveServer(app).start()
    await server.stop()
    assert not server.running
    with pytest.raises(Unreachable):
        await WebSocketClient.connect(server.ws_url + "/echo")


async def test_a_stop_leaves_no_task_and_no_connection(app):
    """After stop, with streams and sockets open, tasks and connections are what they were."""
    before = asyncio.all_tasks()
    server = await LiveServer(app).start()
    stream = await SSEClient.connect(server.url + "/plain")
    client = await WebSocketClient.connect(server.ws_url + "/echo")
    await server.stop()
    assert server.connections == 0
    await stream.closed()
    await client.closed()
    await stream.close()
    assert asyncio.all_tasks() == before


async def test_a_second_stop_does_nothing(app):
    """Stop may be called twice, also at the same time, and on a server that never started."""
    server = await LiveServer(app).start()
    await asyncio.gather(server.stop(), server.stop())
    await server.stop()
    await LiveServer(app).stop()


async def test_streams_end_cleanly_and_websockets_with_1012(app):
    """On stop, event streams get the end of their body and WebSockets the code 1012."""
    server = await LiveServer(app).start()
    events = await SSEClient.connect(server.url + "/events")
    plain = await SSEClient.connect(server.url + "/plain")
    client = await WebSocketClient.connect(server.ws_url + "/echo")
    await events.next()
    await plain.next()
    await server.stop()
    assert await events.closed()
    assert await plain.closed()
    assert await client.closed() == Closed(1012)
    assert sorted(app.state.ended) == ["events", "plain"]
    await events.close()
    await plain.close()


async def test_siblings_go_on(app, server):
    """Stopping one server leaves the streams and sockets of another alone."""
    async with (
        LiveServer(app) as other,
        await SSEClient.connect(server.url + "/events") as stream,
        await WebSocketClient.connect(server.ws_url + "/echo") as client,
        await SSEClient.connect(other.url + "/events") as ended,
    ):
        await other.stop()
        assert await ended.closed()
        assert [event.data for event in await stream.take(3)] == ["0", "1", "2"]
        await client.send("still here")
        assert await client.receive() == "still here"


async def test_the_flag_of_sse_starlette_is_not_touched(app):
    """A stop leaves sse-starlette's process-wide flag as it is, so that later streams live."""
    server = await LiveServer(app).start()
    stream = await SSEClient.connect(server.url + "/events")
    await server.stop()
    assert await stream.closed()
    await stream.close()
    assert sys.modules["sse_starlette.sse"].AppStatus.should_exit is False


async def test_clients_that_stalled_do_not_hold_up_the_stop(app, eventually):
    """With readers that read nothing, stop ends within its grace and drops them."""
    server = await LiveServer(app, timeout_graceful_shutdown=1).start()
    socket_reader = await StalledReader.connect(server.ws_url + "/flood")
    stream_reader = await StalledStream.connect(server.url + "/flood-events")
    await eventually(lambda: server.connections == 2)
    async with asyncio.timeout(10):
        await server.stop()
    assert server.connections == 0
    socket_reader.close()
    stream_reader.close()


async def test_signals_stay_with_their_owner(app):
    """While a server runs, SIGINT and SIGTERM have the handlers that they had."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with LiveServer(app):
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_nothing_is_printed(app, capfd):
    """Start, a crash in a handler and a stop with open streams print nothing at all."""
    async with LiveServer(app, access_log=True) as server:
        assert (await get(server.url + "/crash")).status_code == 500
        stream = await SSEClient.connect(server.url + "/plain")
        await stream.next()
    await stream.close()
    assert capfd.readouterr() == ("", "")
    assert "RuntimeError: a bug" in "".join(record.exc_text or "" for record in server.log)


async def test_a_lifespan_that_raises_is_one_clear_error(capfd):
    """A start-up that raises becomes a StartupError with its last line, and nothing is printed."""

    @contextlib.asynccontextmanager
    async def lifespan(app):
        raise RuntimeError("no database")
        yield

    before = asyncio.all_tasks()
    with pytest.raises(StartupError, match="did not start: RuntimeError: no database"):
        await LiveServer(FastAPI(lifespan=lifespan)).start()
    assert asyncio.all_tasks() == before
    assert capfd.readouterr() == ("", "")


async def test_a_lifespan_that_hangs_is_one_clear_error():
    """A start-up that never ends is given up at its deadline, and its task is gone."""

    @contextlib.asynccontextmanager
    async def lifespan(app):
        await asyncio.Event().wait()
        yield

    before = asyncio.all_tasks()
    with pytest.raises(StartupError, match=r"did not finish its start-up in 0\.05 s"):
        await LiveServer(FastAPI(lifespan=lifespan), start_timeout_s=0.05).start()
    assert asyncio.all_tasks() == before


async def test_the_lifespan_is_closed_by_the_stop():
    """Start-up and shutdown of the application run once each."""
    calls = []

    @contextlib.asynccontextmanager
    async def lifespan(app):
        calls.append("up")
        yield
        calls.append("down")

    async with LiveServer(FastAPI(lifespan=lifespan)):
        assert calls == ["up"]
    assert calls == ["up", "down"]


async def test_a_port_that_is_taken_is_named(app, server):
    """A second server on the same port is refused with the number of the port."""
    with pytest.raises(StartupError, match=f"port {server.port} is not free"):
        await LiveServer(app, port=server.port).start()


async def test_a_server_comes_back_on_its_old_port(app):
    """A server that stopped may start again under the same address."""
    server = await LiveServer(app).start()
    url = server.url
    await get(url + "/finite")
    await server.stop()
    async with server:
        assert server.url == url
        assert (await get(url + "/finite")).status_code == 200


async def test_a_running_server_refuses_a_second_start(server):
    """Starting twice is a mistake that is named."""
    with pytest.raises(RuntimeError, match="runs already"):
        await server.start()


async def test_a_cancelled_start_leaves_nothing(app):
    """Cancelling start closes the socket and ends the task."""
    before = asyncio.all_tasks()
    server = LiveServer(app)
    starting = asyncio.create_task(server.start())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait({starting})
    assert asyncio.all_tasks() == before
    assert not server.running


async def test_handlers_start_with_an_empty_context():
    """A handler sees nothing of the context in which its server was started."""
    mark: ContextVar[str] = ContextVar("mark", default="empty")
    app = FastAPI()

    @app.get("/")
    async def read() -> str:
        return mark.get()

    mark.set("of the cell that started the server")
    async with LiveServer(app) as server:
        assert (await get(server.url)).json() == "empty"


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
async def test_the_listening_socket_has_its_options(app):
    """TCP_USER_TIMEOUT and TCP_NOTSENT_LOWAT are set on the socket that accepts."""
    async with LiveServer(app, tcp_user_timeout_s=3, notsent_lowat_bytes=1 << 17) as server:
        listener = server._server.servers[0].sockets[0]
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 1 << 17


async def test_a_low_mark_that_is_too_low_is_refused(app):
    """A mark at which asyncio would pause at every write is refused with the least that works."""
    with pytest.raises(ValueError, match=r"notsent_lowat_bytes=1000 .* at least 65536"):
        LiveServer(app, notsent_lowat_bytes=1000)


async def test_the_log_is_bounded_and_its_loggers_come_back(app):
    """Records go to a bounded `log`; after the last stop the loggers are as before."""
    logger = logging.getLogger("uvicorn.error")
    before = logger.handlers, logger.propagate, logger.level
    async with LiveServer(app) as first, LiveServer(app) as second:
        await first.stop()
        assert not logger.propagate
        for _ in range(2000):
            logger.info("noise")
        assert len(second.log) == 1000
    assert (logger.handlers, logger.propagate, logger.level) == before


async def test_the_second_of_two_small_messages_does_not_wait(app):
    """Accepted connections have TCP_NODELAY, or each would wait 40 ms for an acknowledgement."""
    options = []

    @app.websocket("/options")
    async def look(websocket: WebSocket):
        (connection,) = server._server.server_state.connections
        sock = connection.transport.get_extra_info("socket")
        options.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await websocket.accept()

    async with LiveServer(app) as server:
        client = await WebSocketClient.connect(server.ws_url + "/options")
        await client.closed()
    assert options != [0]
