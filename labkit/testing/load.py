"""Many clients in one process of their own, so that counting costs the server nothing.

A client in the server's process shares its loop, its lock and its core: what is measured then is
both. This one runs beside it: bare sockets and one selector, no parsing but of frame headers.

    async with Load(url, connections=1000) as load:
        publish()
        counted = await load.until(messages_per_connection=1)
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from labkit.testing.address import HOST
from labkit.testing.children import Child
from labkit.testing.outcomes import Silence

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECT_TIMEOUT_S = 30.0
GRACE_S = 5.0
MAX_LINE_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Counted:
    """What all clients together received.

    Attributes:
        connections: how many clients there were.
        messages: how many messages, or events, all together.
        bytes: how many bytes on the wire.
        short: how many clients got fewer than they should have.
        latencies_ms: of a sample of the messages whose JSON has `"t"`, the sender's
            `time.monotonic()`; empty for compressed ones.
        took_s: from the first byte to the last.
        cpu_s: what the counting took.
    """

    connections: int
    messages: int
    bytes: int
    short: int
    latencies_ms: Sequence[float]
    took_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Messages a second, all clients together."""
        return self.messages / self.took_s if self.took_s else 0.0

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the latencies.

        Raises:
            ValueError: there are none.
        """
        if not self.latencies_ms:
            raise ValueError('no latency was measured: put "t": time.monotonic() into the messages')
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Load:
    """So many clients of one address, in a process of their own. Use it with `async with`.

    Args:
        url: `ws://…` or `http://…`, with a port.
        connections: how many clients.
        kind: WebSockets, or event streams of events with one `data:` line.
        hello: text that each WebSocket sends first.
        deflate: offer permessage-deflate, as browsers do.
        core: run on this core alone, where the system can do that.

    Raises:
        Silence: they were not all connected in time.
        ConnectionError: one of them was refused; the message says how.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 100,
        kind: Literal["websocket", "sse"] = "websocket",
        hello: str | None = None,
        deflate: bool = False,
        core: int | None = None,
    ) -> None:
        self._settings = {
            "url": url, "connections": connections, "kind": kind, "hello": hello,
            "deflate": deflate, "core": core,
        }  # fmt: skip
        self._child: Child | None = None
        self._server: asyncio.Server | None = None
        self._lines: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        connected: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._server = await asyncio.start_server(
            lambda reader, writer: connected.set_result((reader, writer)),
            HOST,
            0,
            limit=MAX_LINE_BYTES,
        )
        port = self._server.sockets[0].getsockname()[1]
        argv = [sys.executable, "-m", "labkit.testing.load_client", str(port)]
        try:
            argv.append(json.dumps(self._settings))
            self._child = Child(argv, output=subprocess.DEVNULL)
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                self._lines, self._writer = await connected
                _must_be_ready(json.loads(await self._lines.readline()))
        except TimeoutError as error:
            await self.aclose()
            wanted = self._settings["connections"]
            raise Silence(f"{wanted} clients did not connect in {CONNECT_TIMEOUT_S:g} s") from error
        except BaseException:
            await self.aclose()
            raise
        return self

    async def until(self, messages_per_connection: int, *, timeout_s: float = 10.0) -> Counted:
        """Wait until each client has so many more messages, or until the time is up.

        Raises:
            ConnectionError: the process has ended.
        """
        assert self._writer is not None
        order = {"messages": messages_per_connection, "timeout_s": timeout_s}
        self._writer.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(timeout_s + GRACE_S):
            line = await self._lines.readline()
        if not line:
            raise ConnectionError("the process of the clients has ended")
        return Counted(**json.loads(line))

    async def aclose(self) -> None:
        """End the clients and their process. A second call does nothing."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._child is not None:
            self._child.kill()
            self._child = None

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _must_be_ready(answer: dict[str, str]) -> None:
    if "error" in answer:
        raise ConnectionError(answer["error"])


def as_line(counted: Counted) -> bytes:
    """Write what was counted as one line of JSON."""
    return json.dumps(asdict(counted)).encode() + b"\n"
