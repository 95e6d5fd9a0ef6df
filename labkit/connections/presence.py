"""Who is here: users, not connections.

A user has three tabs and reloads one of them. The others in the room want to read *Ada is
here* once, and nothing at all about the reload. So a user joins with the first connection,
and leaves when the last one has been gone for a while.

The conversation:
    1. Who joins gets `{"type": "presence_state", "topic": …, "users": {"ada": 2}}`.
    2. The others get `{"type": "presence_diff", "topic": …, "joined": ["ada"]}` for a user's
       first connection, and the same with `left` for the last.
    3. A diff may repeat what a state has said. Applying it twice changes nothing.

Chapter 4. One process: chapter 12 spreads it over many.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from labkit.architecture.manager import Connection
from labkit.architecture.messages import Outgoing, encode

Announce = Callable[[str, Outgoing], object]
"""Publishes on a topic: `Manager.publish` is one."""

SWEEP_S = 1.0


class Presence:
    """The users of each topic, by the connections that stand for them.

    Args:
        announce: tells everyone who listens to a topic.
        linger_s: seconds that a user is kept after the last connection: a reload takes one or
            two, a tunnel a few more. 0 tells every flicker.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        announce: Announce,
        *,
        linger_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.linger_s = linger_s
        self._announce = announce
        self._clock = clock
        self._here: dict[str, dict[str, set[Connection]]] = {}
        self._leaving: dict[tuple[str, str], float] = {}

    def users(self, topic: str) -> dict[str, int]:
        """Return how many connections stand for each user, by name; 0 for one who lingers."""
        here = self._here.get(topic, {})
        return {user: len(here[user]) for user in sorted(here)}

    @contextmanager
    def here(self, topic: str, connection: Connection) -> Iterator[None]:
        """Let the connection stand for its user inside the `with` block."""
        self.join(topic, connection)
        try:
            yield
        finally:
            self.leave(topic, connection)

    def join(self, topic: str, connection: Connection) -> None:
        """Let the connection stand for its user, and tell it who is here. Idempotent.

        Raises:
            ValueError: the connection has no user: nobody can be told who that is.
        """
        if connection.user is None:
            raise ValueError("the connection has no user: authenticate it before it joins")
        here = self._here.setdefault(topic, {})
        new = connection.user not in here
        here.setdefault(connection.user, set()).add(connection)
        self._leaving.pop((topic, connection.user), None)
        connection.send(encode("presence_state", topic=topic, users=self.users(topic)))
        if new:
            self.joined(topic, connection.user)

    def leave(self, topic: str, connection: Connection) -> None:
        """Undo `join`. Idempotent. The others are told when the user has not come back."""
        members = self._here.get(topic, {}).get(connection.user or "", set())
        if connection not in members:
            return
        members.discard(connection)
        if not members:
            self._leaving[topic, connection.user or ""] = self._clock() + self.linger_s
            self.sweep()

    def sweep(self) -> None:
        """Tell of those who have been gone for long enough."""
        now = self._clock()
        for (topic, user), due in tuple(self._leaving.items()):
            if now >= due:
                del self._leaving[topic, user]
                del self._here[topic][user]
                if not self._here[topic]:
                    del self._here[topic]
                self.left(topic, user)

    def joined(self, topic: str, user: str) -> None:
        """Tell of a user's first connection."""
        self._announce(topic, encode("presence_diff", topic=topic, joined=[user]))

    def left(self, topic: str, user: str) -> None:
        """Tell of a user who has gone."""
        self._announce(topic, encode("presence_diff", topic=topic, left=[user]))

    async def run(self) -> None:
        """Sweep once a second, until cancelled."""
        while True:
            await anyio.sleep(SWEEP_S)
            self.sweep()
