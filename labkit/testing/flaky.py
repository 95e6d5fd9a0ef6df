"""A dependency that fails on command: a real HTTP service on a real socket.

It speaks just enough HTTP for one question and one answer a connection, because the faults it is
for lie below HTTP: a server that takes the question and never answers, or vanishes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from labkit.testing.address import HOST
from labkit.testing.websocket_client import reset_on_close

if TYPE_CHECKING:
    from collections.abc import Iterable

READ_TIMEOUT_S = 10.0


class Mood(StrEnum):
    """What the service does with a request."""

    ANSWER = "answer"
    """200 and `{"rate": 1.25}`."""
    FAIL = "fail"
    """503."""
    HANG = "hang"
    """Nothing, for as long as the caller waits."""
    LIE = "lie"
    """200 and a page of HTML: a proxy in maintenance says so."""
    DIE = "die"
    """A TCP reset instead of an answer."""


_ANSWERS = {
    Mood.ANSWER: ("200 OK", "application/json", b'{"rate": 1.25}'),
    Mood.FAIL: ("503 Service Unavailable", "text/plain", b"down"),
    Mood.LIE: ("200 OK", "text/html", b"<h1>Back in a minute</h1>"),
}


class Flaky:
    """The service; use it as an async context manager, or `start` and `aclose`.

    Attributes:
        mood: what it does with every request, unless there is a script.
        script: moods of the next requests, one each.
        calls: requests it has got.
        hanging: requests it holds now.
    """

    def __init__(self, mood: Mood = Mood.ANSWER) -> None:
        self.mood = mood
        self.script: deque[Mood] = deque()
        self.calls = 0
        self.hanging = 0
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()

    def play(self, moods: Iterable[Mood]) -> None:
        """Set the moods of the next requests, and count from zero."""
        self.script = deque(moods)
        self.calls = 0

    @property
    def url(self) -> str:
        """Address of its one resource.

        Raises:
            RuntimeError: It is not started.
        """
        if self._server is None:
            raise RuntimeError("this service is not started: use `async with Flaky() as service`")
        return f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}/rate"

    async def start(self) -> Self:
        """Listen on a port of its own."""
        self._server = await asyncio.start_server(self._converse, HOST, 0)
        return self

    async def aclose(self) -> None:
        """Stop listening and let go of every request; a second call does nothing."""
        if self._server is None:
            return
        self._server.close()
        for conversation in self._conversations:
            conversation.cancel()
        if self._conversations:
            await asyncio.wait(self._conversations)
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Flaky({self.mood}, {self.calls} calls)"

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear one request, and do what the mood says."""
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                await reader.readuntil(b"\r\n\r\n")
            self.calls += 1
            await self._react(self.script.popleft() if self.script else self.mood, reader, writer)
        except (OSError, EOFError):  # the caller left; a TimeoutError is an OSError
            pass
        except asyncio.CancelledError:
            pass  # by `aclose`; asyncio's streams would report it as an error
        finally:
            self._conversations.discard(task)
            writer.close()

    async def _react(
        self, mood: Mood, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if mood is Mood.DIE:
            reset_on_close(writer.get_extra_info("socket"))
            writer.transport.abort()
        elif mood is Mood.HANG:
            self.hanging += 1
            try:
                await reader.read()  # until the caller gives up
            finally:
                self.hanging -= 1
        else:
            status, kind, body = _ANSWERS[mood]
            head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
            writer.write(f"{head}connection: close\r\n\r\n".encode() + body)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
