"""One connection's way out: the publisher never waits for a reader.

A healthy connection costs nothing: what is put in one turn of the loop is written at its end,
inline, without a task and without a wake-up, because a server's `send` does not suspend while
the transport takes the bytes. Only when it does suspend, the reader being slow, does a task
appear, which drains a bounded backlog and gives each write a deadline.

Nobody else writes to the connection, so messages arrive in the order they were put.

Chapter 1 builds it; chapter 7 measures it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from labkit.architecture.backlog import Backlog, Overflow
from labkit.architecture.codes import CloseCode
from labkit.architecture.inline import Turn, begin
from labkit.architecture.messages import Outgoing

logger = logging.getLogger(__name__)

Send = Callable[[Outgoing], Coroutine[Any, Any, None]]


Spawn = Callable[..., object]
"""Starts a coroutine function as a child task: `start_soon` of an anyio task group."""


class Writer(Protocol):
    """A way past `send` for a server that has one: many messages in one write (chapter 7)."""

    @property
    def ready(self) -> bool:
        """Whether the transport takes bytes now. When it does not, `send` will tell why."""

    def write(self, messages: list[Outgoing]) -> None:
        """Write all of them, in order. Called only while `ready`."""


class Outbox:
    """Send without waiting, in order, with a bound on what one slow reader may cost.

    Args:
        send: writes one message; the server's own, not one wrapped in timeouts or cancel
            scopes, since its first step runs outside any task.
        spawn: starts the drain task when the transport is full.
        on_fail: told once, with code and reason, when the connection can take no more.
        backlog: what may wait; the default holds 256 messages and 1 MiB and disconnects.
        write_timeout_s: seconds that one write may take before the reader counts as stalled.
        writer: takes a turn's messages at once, as long as it is ready; without it, and when it
            is not, each goes through `send`.

    Attributes:
        sent: messages handed to the transport. Not the same as received: only an answer
            from the client proves that.
    """

    __slots__ = ("_backlog", "_closed", "_drained", "_draining", "_loop", "_on_fail", "_scheduled",
                 "_send", "_spawn", "_turn", "_writer", "sent", "write_timeout_s")  # fmt: skip

    def __init__(
        self,
        send: Send,
        *,
        spawn: Spawn,
        on_fail: Callable[[CloseCode, str], None],
        backlog: Backlog[Outgoing] | None = None,
        write_timeout_s: float = 5.0,
        writer: Writer | None = None,
    ) -> None:
        self._send = send
        self._writer = writer
        self._spawn = spawn
        self._on_fail = on_fail
        self._backlog = Backlog[Outgoing]() if backlog is None else backlog
        self._loop = asyncio.get_running_loop()
        self._turn = Turn.of(self._loop)
        self._scheduled = self._draining = self._closed = False
        self._drained: asyncio.Future[None] | None = None
        self.sent = 0
        self.write_timeout_s = write_timeout_s

    @property
    def waiting(self) -> int:
        """How many messages wait for the reader."""
        return len(self._backlog)

    @property
    def dropped(self) -> int:
        """How many messages the overflow policy has cost this connection."""
        return self._backlog.dropped

    def put(self, message: Outgoing) -> bool:
        """Send `message` at the end of this turn of the loop. Never waits, never raises.

        Returns:
            False when the message was not accepted: the connection has ended, or the overflow
            policy refused it.
        """
        if self._closed:
            return False
        if self._turn.post is not None:
            self._turn.share_out()
        backlog = self._backlog
        if not self._draining and not backlog.fits(message.size):
            self.flush()  # a long turn is the publisher's doing, not a slow reader's
        if not backlog.put(message, message.size, message.key):
            if backlog.overflow is Overflow.DISCONNECT:
                self._fail(CloseCode.TRY_AGAIN_LATER, "too slow")
            return False
        if not (self._scheduled or self._draining):
            self._scheduled = True
            self._turn.add(self)
        return True

    def put_all(self, messages: list[Outgoing], size: int) -> None:
        """Send `messages`, `size` bytes together, now: the turn ends. Never waits, never raises."""
        backlog = self._backlog
        busy = self._draining or self._closed or backlog
        if busy or size > backlog.max_bytes or backlog.overflow is Overflow.KEEP_LATEST:
            for each in messages:
                self.put(each)
        else:
            self.write(messages)

    def flush(self) -> None:
        """Write what waits, as far as the transport takes it at once."""
        self._scheduled = False
        if self._backlog and not (self._draining or self._closed):
            self.write(self._backlog.drain())

    def write(self, messages: list[Outgoing]) -> None:
        """Write now, in order; from the first send that suspends on, a task does it."""
        writer = self._writer
        if writer is not None and writer.ready:
            writer.write(messages)
            self.sent += len(messages)
            return
        for index, message in enumerate(messages, 1):
            try:
                rest = begin(self._send(message))
            except Exception as error:  # noqa: BLE001 - whatever it is, this connection is over
                self._lost(error)
                return
            if rest is not None:
                self._draining = True
                self._spawn(self._drain, rest)
                for later in messages[index:]:
                    self.put(later)
                return
            self.sent += 1

    async def join(self) -> None:
        """Wait until everything put so far is written, or the outbox is closed."""
        self._turn.share_out()
        self.flush()
        while self._draining and not self._closed:
            if self._drained is None:
                self._drained = self._loop.create_future()
            await asyncio.shield(self._drained)

    def close(self) -> None:
        """Take no more, and forget what waits. Idempotent."""
        self._closed = True
        self._backlog.drain()
        self._wake()

    async def _drain(self, rest: Awaitable[None]) -> None:
        """Finish the write that suspended, then the backlog, one deadline a write."""
        try:
            async with asyncio.timeout(self.write_timeout_s):
                await rest
            self.sent += 1
            while self._backlog:
                message = self._backlog.pop()
                async with asyncio.timeout(self.write_timeout_s):
                    await self._send(message)
                self.sent += 1
        except TimeoutError:
            self._fail(CloseCode.TRY_AGAIN_LATER, "too slow")
        except Exception as error:  # noqa: BLE001 - as in flush
            self._lost(error)
        finally:
            self._draining = False
            self._wake()

    def _lost(self, error: Exception) -> None:
        logger.debug("a send failed: the peer is gone", exc_info=error)
        self._fail(CloseCode.ABNORMAL, "the peer is gone")

    def _fail(self, code: CloseCode, reason: str) -> None:
        if not self._closed:
            self.close()
            self._on_fail(code, reason)

    def _wake(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
