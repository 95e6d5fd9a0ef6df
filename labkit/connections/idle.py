"""Close the connections that nobody uses.

Being alive is one question, being used another. Whether the other end is there is found out
by pings (chapter 2). Whether it still wants something is decided here, by one stated meaning:

    A connection is used by a message of its client that is more than a sign of life, as long
    as its handler works on that message, and, if the policy says so, by listening to a topic.

A pong is no use: else every client whose heartbeat is answered would stay for ever.
An event stream listens by nature and is never idle.

Chapter 4. One sweeper for all, and a monotonic clock: no step of the wall clock, daylight
saving or NTP, closes anybody.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

from labkit.architecture.codes import CloseCode
from labkit.architecture.manager import Connection, Manager
from labkit.architecture.messages import BadMessage, Ping, Pong, Vocabulary
from labkit.websocket.session import OnMessage

SWEEPS_PER_TIMEOUT = 20
"""An idle connection is found at most a twentieth of its timeout late."""

_SIGNS_OF_LIFE = Vocabulary(Ping, Pong)
_MAX_SIGN_CHARS = 128  # a ping with the longest id; what is longer is not worth parsing twice


def is_sign_of_life(text: str) -> bool:
    """Whether a message says no more than *I am here*: a `ping` or a `pong`."""
    if len(text) > _MAX_SIGN_CHARS:
        return False
    try:
        _SIGNS_OF_LIFE.parse(text)
    except BadMessage:
        return False
    return True


class IdleTimeout:
    """One sweeper for every connection of a manager.

    Args:
        manager: whose connections are watched.
        timeout_s: seconds without use after which a connection is closed with 4000 (idle,
            reconnect). Five minutes: longer than a phone call, shorter than lunch.
        listening_counts: whether a connection that listens to a topic is in use. A dashboard
            only listens; False closes it as well.
        clock: monotonic seconds.

    Raises:
        ValueError: the timeout is not positive.
    """

    def __init__(
        self,
        manager: Manager,
        *,
        timeout_s: float = 300.0,
        listening_counts: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if timeout_s <= 0:
            raise ValueError(f"timeout_s is {timeout_s}: give seconds, more than 0")
        self.timeout_s = timeout_s
        self.listening_counts = listening_counts
        self._manager = manager
        self._clock = clock
        self._used: dict[Connection, float] = {}
        self._busy: set[Connection] = set()

    def touch(self, connection: Connection) -> None:
        """Note that the connection is used now."""
        self._used[connection] = self._clock()

    def counting(self, on_text: OnMessage[str]) -> OnMessage[str]:
        """Wrap the `on_text` of a session, so that its messages count as use."""

        async def counted(connection: Connection, text: str) -> None:
            if is_sign_of_life(text):
                await on_text(connection, text)
                return
            self._busy.add(connection)
            try:
                await on_text(connection, text)
            finally:
                self._busy.discard(connection)
                self.touch(connection)

        return counted

    def sweep(self) -> None:
        """Close those that were not used for the timeout, and forget those that are gone."""
        now = self._clock()
        used = {
            connection: now if self._in_use(connection) else self._used.get(connection, now)
            for connection in self._manager
        }
        self._used = used
        for connection, since in used.items():
            if now - since >= self.timeout_s:
                connection.close(CloseCode.IDLE, "idle")

    def _in_use(self, connection: Connection) -> bool:
        listening = self.listening_counts and bool(connection.topics)
        return listening or connection in self._busy

    async def run(self) -> None:
        """Sweep for ever, until cancelled."""
        while True:
            await anyio.sleep(self.timeout_s / SWEEPS_PER_TIMEOUT)
            self.sweep()
