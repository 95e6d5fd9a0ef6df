"""Who is connected, who listens to what, and how a message reaches them.

The promises: a connection is known by the object the server made, never by a name a client
chose, so nobody can take another's place; removing is idempotent and needs nothing but the
connection; the indexes always agree; publishing is a plain function that waits for nobody.

Chapter 1. One process: chapter 12 spreads it over many.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from labkit.architecture.inline import Turn
from labkit.architecture.messages import Outgoing
from labkit.architecture.outbox import Outbox

logger = logging.getLogger(__name__)

MAX_REASON_BYTES = 123
"""A close frame holds 125 bytes, two of which are the code (RFC 6455 §5.5)."""


class Ending(NamedTuple):
    """Why a connection ended."""

    code: int
    reason: str
    by: str
    """`server` when we decided it, `peer` when the connection ended under us."""


class Connection:
    """One client, as long as it is connected.

    Args:
        outbox: its way out, made by whoever owns the socket.
        on_close: told when `close` was called first, to end the conversation.
        user: who it is, as authentication says; None when nobody asked.
        log_id: its `id`, if somebody has logged about it before; made by the server as well.
        clock: monotonic seconds; a test moves its own.

    Attributes:
        id: made by the server, for logs and for people. Not a key, not a secret.
        topics: what it listens to; changed by the manager alone.
        last_seen: when its last message came, by the clock.
        strikes: how many of its messages could not be understood.
        ending: why it ended; None while it is open.
    """

    __slots__ = ("_clock", "_on_close", "_when_gone", "ending", "id", "last_seen", "outbox",
                 "strikes", "topics", "user")  # fmt: skip

    def __init__(
        self,
        outbox: Outbox,
        *,
        on_close: Callable[[], None],
        user: str | None = None,
        log_id: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = log_id or secrets.token_hex(8)
        self.user = user
        self.outbox = outbox
        self.topics: set[str] = set()
        self.strikes = 0
        self.ending: Ending | None = None
        self._on_close = on_close
        self._when_gone: dict[Callable[[Connection], None], None] = {}
        self._clock = clock
        self.heard()

    def __repr__(self) -> str:
        state = f"ended {self.ending.code}" if self.ending else "open"
        return f"<Connection {self.id} {state}, {len(self.topics)} topics>"

    def heard(self) -> None:
        """Note a sign of life: any message is one."""
        self.last_seen = self._clock()

    def when_gone(self, tell: Callable[[Connection], None]) -> None:
        """Have `tell` called once, when the registry forgets the connection.

        Its topics are still known then. Registering the same function again changes nothing.
        """
        self._when_gone[tell] = None

    def gone(self) -> None:
        """Tell those who asked; one that fails is logged. For the registry alone."""
        while self._when_gone:
            tell, _ = self._when_gone.popitem()
            try:
                tell(self)
            except Exception:
                logger.exception("connection %s: when_gone failed", self.id)

    def send(self, message: Outgoing) -> bool:
        """Send to this client alone; see `Outbox.put`."""
        return self.outbox.put(message)

    def close(self, code: int, reason: str = "", *, by: str = "server") -> None:
        """End the connection. Returns at once; the first call decides why.

        Raises:
            ValueError: the reason is longer than the 123 bytes that a close frame can carry.
        """
        if len(reason.encode()) > MAX_REASON_BYTES:
            raise ValueError(f"reason is {len(reason.encode())} bytes, at most 123 fit: shorten it")
        if self.ending is None:
            self.ending = Ending(int(code), reason, by)
            self._on_close()


class TooManyTopics(Exception):  # noqa: N818 - it names the refusal
    """A connection listens to as many topics as it may."""


class Manager:
    """The registry of one process.

    Args:
        max_topics: how many topics one connection may listen to.
    """

    def __init__(self, *, max_topics: int = 128) -> None:
        self.max_topics = max_topics
        self._connections: set[Connection] = set()
        self._by_topic: dict[str, set[Connection]] = {}
        self._by_user: dict[str, set[Connection]] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[Connection]:
        return iter(tuple(self._connections))

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._connections

    @property
    def topics(self) -> dict[str, int]:
        """How many connections listen to each topic."""
        return {topic: len(members) for topic, members in self._by_topic.items()}

    def listeners(self, topic: str) -> int:
        """Return how many connections listen to one topic."""
        return len(self._by_topic.get(topic, ()))

    def add(self, connection: Connection) -> None:
        """Make the connection known."""
        self._connections.add(connection)
        if connection.user is not None:
            self._by_user.setdefault(connection.user, set()).add(connection)
        logger.info("connected %s", connection.id)

    def remove(self, connection: Connection) -> None:
        """Forget the connection. Idempotent: everything else in the registry stays."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        connection.gone()
        for topic in tuple(connection.topics):
            self.unsubscribe(connection, topic)
        if connection.user is not None:
            _discard(self._by_user, connection.user, connection)
        logger.info("disconnected %s: %s", connection.id, connection.ending)

    def subscribe(self, connection: Connection, topic: str) -> None:
        """Let the connection hear what is published on `topic` from now on.

        Whether it may is decided before, by `handlers`.

        Raises:
            TooManyTopics: it listens to `max_topics` already.
        """
        if connection not in self._connections or topic in connection.topics:
            return
        if len(connection.topics) >= self.max_topics:
            raise TooManyTopics(f"a connection listens to {self.max_topics} topics at most")
        connection.topics.add(topic)
        self._by_topic.setdefault(topic, set()).add(connection)

    def unsubscribe(self, connection: Connection, topic: str) -> None:
        """Undo `subscribe`. Idempotent."""
        connection.topics.discard(topic)
        _discard(self._by_topic, topic, connection)

    def publish(self, topic: str, message: Outgoing) -> int:
        """Send one message to everyone who listens to `topic` now.

        Returns:
            How many that are. A slow reader may still lose it, by its overflow policy.
        """
        audience = tuple([each.outbox for each in self._by_topic.get(topic, ())])
        if audience:
            Turn.of(asyncio.get_running_loop()).say(audience, message, message.size)
        return len(audience)

    def send_to_user(self, user: str, message: Outgoing) -> int:
        """Send one message to every connection of one user; returns how many accepted it."""
        return sum(each.send(message) for each in tuple(self._by_user.get(user, ())))


def _discard(index: dict[str, set[Connection]], key: str, connection: Connection) -> None:
    """Take the connection out of one index, and the key with its last member."""
    members = index.get(key)
    if members is not None:
        members.discard(connection)
        if not members:
            del index[key]
