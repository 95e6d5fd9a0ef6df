"""The laboratory of one notebook: servers, clients and Valkey, and a clean table at the end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast
from weakref import WeakKeyDictionary

from labkit.testing.clients import SSEClient, WebSocketClient
from labkit.testing.faults import StalledReader, StalledStream
from labkit.testing.leftovers import Census, Leftovers, reset_sse_starlette
from labkit.testing.server import LiveServer
from labkit.testing.valkey import ValkeyServer
from labkit.workbench.display import is_static
from labkit.workbench.kernel import make_interruptible
from labkit.workbench.logbook import LogBook
from labkit.workbench.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp


class Named(Protocol):
    """A client with a name."""

    name: str


T = TypeVar("T")
C = TypeVar("C", bound=Named)

CHAPTERS = range(1, 13)
END_TIMEOUT_S = 6.0
GRACE_S = 0.5  # for what a lesson has left stuck on purpose; the default of 2 s is for real work

_labs: WeakKeyDictionary[asyncio.AbstractEventLoop, Lab] = WeakKeyDictionary()


class Lab:
    """What a notebook runs, kept by name, so that a cell may be run again. Make one with `start`.

    Args:
        chapter: Number of the chapter, 1 to 12.
    """

    def __init__(self, chapter: int) -> None:
        self.chapter = chapter
        self.wire = Wire()
        self.log = LogBook()
        self._servers: dict[str, LiveServer] = {}
        self._valkeys: dict[str, ValkeyServer] = {}
        self._clients: dict[tuple[str, str], list[Any]] = {}
        self._tracked: list[Any] = []
        self._ports: dict[int, str] = {}
        self._census = Census()

    @classmethod
    async def start(cls, *, chapter: int) -> Self:
        """Open the lab; one that is open in this kernel is closed first.

        Raises:
            ValueError: There is no such chapter.
        """
        if chapter not in CHAPTERS:
            raise ValueError(f"chapter={chapter} does not exist: use a number from 1 to 12")
        loop = asyncio.get_running_loop()
        if earlier := _labs.get(loop):
            await earlier.close()
        make_interruptible()
        reset_sse_starlette()
        _labs[loop] = lab = cls(chapter)
        lab.log.open()
        return lab

    async def serve(
        self,
        app: ASGIApp,
        *,
        name: str = "server",
        **options: Any,  # noqa: ANN401 - LiveServer's
    ) -> LiveServer:
        """Serve an application in this kernel, seen by `wire`; an earlier server of the name stops.

        Raises:
            StartupError: It did not start.
        """
        if earlier := self._servers.pop(name, None):
            await earlier.stop()
        options.setdefault("timeout_graceful_shutdown", GRACE_S)
        server = LiveServer(self.wire.tap(app, name), **options)
        self._servers[name] = await server.start()
        self._ports[server.port] = name
        return server

    def valkey(self, *, name: str = "valkey") -> ValkeyServer:
        """Start a Valkey; an earlier one of the name starts anew, empty, on its old port.

        Raises:
            ValkeyError: It is not installed, or did not start.
        """
        server = self._valkeys.setdefault(name, ValkeyServer())
        server.restart()
        self._ports[server.port] = name
        return server

    async def join(
        self,
        server: LiveServer,
        path: str,
        *names: str,
        **options: Any,  # noqa: ANN401 - WebSocketClient.connect's
    ) -> list[WebSocketClient]:
        """Connect one WebSocket client for each name, in this order.

        `{name}` in the path stands for the client's name. Clients that an earlier call connected
        to the same place by the same name leave first.
        """
        places = [(server.ws_url + path.replace("{name}", name), name) for name in names]
        for url, name in set(places):
            await self._dismiss(url, name)
        return [
            self._keep(url, await WebSocketClient.connect(url, name=name, **options))
            for url, name in places
        ]

    async def listen(
        self,
        server: LiveServer,
        path: str,
        name: str = "client",
        **options: Any,  # noqa: ANN401 - SSEClient.connect's
    ) -> SSEClient:
        """Open an event stream; the earlier one of the name to the same place is closed."""
        url = server.url + path
        await self._dismiss(url, name)
        return self._keep(url, await SSEClient.connect(url, name=name, **options))

    async def stall(
        self,
        server: LiveServer,
        path: str,
        name: str = "stalled",
        *,
        first_messages: Iterable[str | bytes] = (),
    ) -> StalledReader:
        """Connect a WebSocket client that reads nothing; the earlier one of the name leaves."""
        url = server.ws_url + path
        await self._dismiss(url, name)
        stalled = await StalledReader.connect(url, name=name, first_messages=first_messages)
        return self._keep(url, stalled)

    async def stall_stream(
        self, server: LiveServer, path: str, name: str = "stalled"
    ) -> StalledStream:
        """Open an event stream that nobody reads; the earlier one of the name leaves."""
        url = server.url + path
        await self._dismiss(url, name)
        return self._keep(url, await StalledStream.connect(url, name=name))

    async def pause(self, seconds: float) -> None:
        """Give the eye a moment; where displays are static, nobody looks and none is needed."""
        await asyncio.sleep(0 if is_static() else seconds)

    def track(self, thing: T) -> T:
        """Remember something to end with the lab, and return it.

        Args:
            thing: A task, or an object with `aclose`, `close` or `stop`.

        Raises:
            TypeError: It has none of these.
        """
        _ending_of(thing)
        self._tracked.append(thing)
        return thing

    async def close(self) -> Leftovers:
        """End clients, then what is tracked, servers and Valkeys; return what is left all the same.

        Everything has a deadline, and what fails to end is looked for in the process itself.
        """
        clients = [client for group in self._clients.values() for client in group]
        self._clients.clear()
        await _end_all(clients)
        await _end_all(reversed(self._tracked))
        self._tracked.clear()
        await _end_all(self._servers.values())
        await _end_all(self._valkeys.values())
        reset_sse_starlette()
        self.log.close()
        left = await self._census.leftovers(self._ports)
        if _labs.get(asyncio.get_running_loop()) is self:
            del _labs[asyncio.get_running_loop()]
        return dataclasses.replace(left, servers=tuple(self._running()))

    def __repr__(self) -> str:
        return f"Lab of chapter {self.chapter}: {', '.join(self._running()) or 'nothing runs'}"

    def _running(self) -> list[str]:
        servers = [name for name, server in self._servers.items() if server.running]
        valkeys = [name for name, server in self._valkeys.items() if server.running]
        return sorted(servers) + sorted(valkeys)

    def _keep(self, url: str, client: C) -> C:
        self._clients.setdefault((url, client.name), []).append(client)
        return client

    async def _dismiss(self, url: str, *names: str) -> None:
        """End the clients that an earlier run of the same cell has left."""
        await _end_all(
            client for name in set(names) for client in self._clients.pop((url, name), [])
        )


def _ending_of(thing: object) -> Callable[[], object]:
    """Return the function that ends `thing`."""
    if isinstance(thing, asyncio.Task):
        return thing.cancel
    for name in ("aclose", "close", "stop"):
        if callable(ending := getattr(thing, name, None)):
            return cast("Callable[[], object]", ending)
    raise TypeError(f"cannot track {thing!r}: it has no aclose(), close() or stop()")


async def _end_all(things: Iterable[object]) -> None:
    """End things side by side; the census names those that would not."""
    await asyncio.gather(*(_end(thing) for thing in things))


async def _end(thing: object) -> None:
    with contextlib.suppress(Exception):  # a lab closes whatever state a lesson left it in
        async with asyncio.timeout(END_TIMEOUT_S):
            result = _ending_of(thing)()
            if inspect.isawaitable(result):
                await result
            if isinstance(thing, asyncio.Task):
                await asyncio.wait({thing})
