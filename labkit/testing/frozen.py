"""A WebSocket client in a process of its own, which can be frozen like a laptop that goes to sleep.

Its TCP connection stays open and the system acknowledges bytes for it, but no ping is answered.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any, Self

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from labkit.testing.children import Child
from labkit.testing.outcomes import Closed, Silence, Unreachable
from labkit.testing.websocket_client import NAME_HEADER


class FrozenClient:
    """Client process that `freeze` stops and `thaw` lets go on. Make one with `connect`."""

    def __init__(self, child: Child, name: str, timeout_s: float) -> None:
        self.name = name
        self.timeout_s = timeout_s
        self._child = child
        self._lines = asyncio.StreamReader()
        self._pipe: asyncio.ReadTransport | None = None

    @classmethod
    async def connect(cls, url: str, *, name: str = "frozen", timeout_s: float = 10.0) -> Self:
        """Start the process and return when it is connected. It is not frozen yet.

        Raises:
            Unreachable: It could not connect.
            Silence: It was not connected in time.
        """
        argv = [sys.executable, "-m", "labkit.testing.frozen", url, name]
        client = cls(Child(argv, output=subprocess.PIPE), name, timeout_s)
        try:
            await client._open_pipe()
            line = await client._read_line()
        except BaseException:
            await client.close()
            raise
        if line != "open":
            await client.close()
            raise Unreachable(f"{name} could not connect: {line or 'is the server running?'}")
        return client

    def freeze(self) -> None:
        """Stop the process (SIGSTOP)."""
        self._child.pause()

    def thaw(self) -> None:
        """Let the process go on (SIGCONT)."""
        self._child.resume()

    async def closed(self) -> Closed:
        """Wait until the client, awake, sees the end of its connection.

        Raises:
            Silence: It has not seen one in time; a frozen client never does.
        """
        code, _, reason = (await self._read_line()).partition(" ")
        return Closed(int(code or 1006), reason)

    async def close(self) -> None:
        """Kill the process; the system closes its connection."""
        self._child.kill()
        if self._pipe is not None:
            self._pipe.close()
            await asyncio.sleep(0)  # the transport closes its file in the next turn

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"FrozenClient({self.name})"

    async def _open_pipe(self) -> None:
        loop = asyncio.get_running_loop()
        self._pipe, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._lines), self._child.process.stdout
        )

    async def _read_line(self) -> str:
        try:
            async with asyncio.timeout(self.timeout_s):
                return (await self._lines.readline()).decode().strip()
        except TimeoutError as error:
            raise Silence(f"{self.name} reported nothing for {self.timeout_s:g} s") from error


async def _main(url: str, name: str) -> None:
    """Connect, wait for the end, and report both in one line each."""
    options: dict[str, Any] = {"proxy": None, "compression": None, "ping_interval": None}
    async with connect(url, additional_headers={NAME_HEADER: name}, **options) as connection:
        print("open", flush=True)  # noqa: T201 - read by FrozenClient
        await connection.wait_closed()
        print(connection.close_code, connection.close_reason, flush=True)  # noqa: T201


if __name__ == "__main__":
    try:
        asyncio.run(_main(*sys.argv[1:]))
    except (OSError, WebSocketException) as problem:
        print(problem)  # noqa: T201 - read by FrozenClient
