"""What a process says and does between the signal and its end.

The promises:
    - Everyone is told at once, and nobody waits for anybody: a WebSocket gets a notice and
      1012, an event stream its goodbye with a `retry:` of its own.
    - What knows nothing of draining ends as well: it is cancelled, its `finally` runs, and
      its client sees a clean end.
    - It takes at most `DrainSettings.total_s`, whatever clients and handlers do.

Chapter 4. It knows no server and no signal: those are in `server`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio

from labkit.architecture.codes import CloseCode
from labkit.architecture.manager import Connection, Manager
from labkit.architecture.messages import encode
from labkit.connections.exchange import Exchange
from labkit.sse.subscription import Subscription

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainSettings:
    """How long each part may take, in seconds.

    Attributes:
        settle_s: between readiness going off and the first goodbye; new clients still come
            in. Behind a load balancer: its probe interval times its threshold.
        polite_s: for goodbyes, and for requests that are being answered. More than a
            session's `close_timeout_s` (2) and a stream's `grace_s` (1).
        cancel_s: for the `finally` blocks of what is cancelled then.
        flush_s: for the last bytes to leave; then connections are cut.
        spread_s: each client is told to come back after another time up to this. The more
            clients, the longer: a fleet that returns at once is the next outage.

    Raises:
        ValueError: a value is negative; the message names the field.
    """

    settle_s: float = 0.0
    polite_s: float = 3.0
    cancel_s: float = 1.0
    flush_s: float = 1.0
    spread_s: float = 5.0

    def __post_init__(self) -> None:
        for name in ("settle_s", "polite_s", "cancel_s", "flush_s", "spread_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: give seconds, 0 or more")

    @property
    def total_s(self) -> float:
        """The longest drain. What kills the process must wait longer."""
        return self.settle_s + self.polite_s + self.cancel_s + self.flush_s


class Streams(Protocol):
    """Knows the event streams of this process: every `Broker` does."""

    @property
    def subscriptions(self) -> Collection[Subscription]:
        """The live ones."""
        ...


@dataclass(frozen=True, slots=True)
class Drained:
    """How a drain went.

    Attributes:
        told: connections and streams that were told.
        cancelled: exchanges that had to be cancelled.
        left: exchanges that did not even end then.
    """

    told: int
    cancelled: int
    left: int


class Drain:
    """The end of one process, made ready at its start.

    Args:
        managers: whose WebSockets are told.
        brokers: whose event streams are told.
        settings: how long it may take.
    """

    def __init__(
        self,
        *,
        managers: Iterable[Manager] = (),
        brokers: Iterable[Streams] = (),
        settings: DrainSettings | None = None,
    ) -> None:
        self.settings = settings or DrainSettings()
        self.result: Drained | None = None
        self._managers = tuple(managers)
        self._brokers = tuple(brokers)
        self._exchanges: set[Exchange] = set()
        self._ready = self._open = True
        self._hurry = asyncio.Event()
        self._empty = asyncio.Event()

    @property
    def ready(self) -> bool:
        """What the readiness probe answers: False from the signal on."""
        return self._ready

    @property
    def open(self) -> bool:
        """Whether new clients are let in: False from the goodbye on."""
        return self._open

    @property
    def exchanges(self) -> int:
        """How many requests, streams and WebSockets are being served."""
        return len(self._exchanges)

    def hurry(self) -> None:
        """End every wait of the drain, begun or not: somebody has signalled twice."""
        self._hurry.set()
        self._empty.set()

    async def run(self, stop_accepting: Callable[[], None] = lambda: None) -> Drained:
        """Say goodbye, wait, cancel what is left: at most `settings.total_s`. Never raises.

        Args:
            stop_accepting: closes the listeners; called when everybody has been told.
        """
        self._ready = False
        await self._wait(self._hurry, self.settings.settle_s)
        self._open = False
        told = self._say_goodbye()
        stop_accepting()
        await self._emptied(self.settings.polite_s)
        cancelled = tuple(self._exchanges)
        for exchange in cancelled:
            exchange.cancel()
        await self._emptied(self.settings.cancel_s)
        if cancelled:
            # A generator that was left at its `yield` runs its `finally` when it is collected.
            gc.collect()
            await asyncio.sleep(0)
        self.result = Drained(told, len(cancelled), len(self._exchanges))
        logger.info("drained: %s", self.result)
        return self.result

    def _say_goodbye(self) -> int:
        """Tell everyone in one turn of the loop: no client can hold up another."""
        connections = [each for manager in self._managers for each in manager]
        for connection in connections:
            farewell(connection, spread_s=self.settings.spread_s)
        streams = [each for broker in self._brokers for each in tuple(broker.subscriptions)]
        for stream in streams:
            stream.end("shutdown")
        return len(connections) + len(streams)

    async def _emptied(self, timeout_s: float) -> None:
        """Wait until no exchange is open, nor longer than that, nor when there is hurry."""
        if self._exchanges and not self._hurry.is_set():
            self._empty.clear()
            await self._wait(self._empty, timeout_s)

    async def _wait(self, event: asyncio.Event, timeout_s: float) -> None:
        with anyio.move_on_after(timeout_s):
            await event.wait()

    async def serve(self, exchange: Exchange, app: ASGIApp, scope: Scope, receive: Receive) -> None:
        """Serve one exchange, and know of it as long as it lasts."""
        self._exchanges.add(exchange)
        try:
            await exchange.run(app, scope, receive)
        finally:
            self._exchanges.discard(exchange)
            if not self._exchanges:
                self._empty.set()


def farewell(connection: Connection, *, spread_s: float) -> None:
    """Send one client its notice, and close with 1012: come back.

    The notice is written at once: a server that closes the socket next cannot overtake it.
    """
    retry_ms = round(1000 * random.uniform(0, spread_s))  # noqa: S311 (spreads clients, hides nothing)
    connection.send(encode("shutdown", retry_ms=retry_ms))
    connection.outbox.flush()
    connection.close(CloseCode.SERVICE_RESTART, "restart")


class Drainable:
    """ASGI middleware: the exchanges of an application, known to its drain.

    Use it as `app.add_middleware(Drainable, drain=drain)`, last, so that it is outermost.
    """

    def __init__(self, app: ASGIApp, *, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or refuse with 503 when the goodbye has been said."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope["type"], send)
        if self._drain.open:
            await self._drain.serve(exchange, self._app, scope, receive)
        else:
            await exchange.refuse()
