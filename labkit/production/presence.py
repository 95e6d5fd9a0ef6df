"""Who is here, at all workers: each tells the others whom it holds, and forgets who falls silent.

Room 4 counts users of one process. Here every worker says, on a signal of `SharedTopics`, which
users it has in which room: what has changed at once, and all of it every `refresh_s`. What a
worker has said counts until three times that; so one that was killed is forgotten, and nothing is
kept in Valkey that would have to be cleaned up.

Chapter 12. For rooms, not for stadiums: every worker knows every user. The idea is Phoenix'
Tracker, without its conflict-free sets: a worker speaks of its own users alone, so the last word
counts.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labkit.connections.presence import Announce, Presence
from labkit.sse.broker import BrokerUnavailableError

PRESENCE = "presence"
BATCH_S = 0.05
"""Changes so close together go in one message."""
SILENCES = 3


class _Told(BaseModel):
    """What one worker says."""

    model_config = ConfigDict(extra="ignore", strict=True)

    worker: str
    rooms: dict[str, dict[str, Annotated[int, Field(ge=0)]]]
    whole: bool = False
    hello: bool = False


class SharedPresence(Presence):
    """The users of each room, at all workers.

    Args:
        announce: tells this process's listeners of a room.
        signal: tells all workers, `SharedTopics.signal`; `hear` gets what they say.
        refresh_s: how often everything is told, in seconds.
        linger_s, clock: see `Presence`.
    """

    def __init__(
        self,
        announce: Announce,
        signal: Callable[[str, str], Awaitable[None]],
        *,
        refresh_s: float = 5.0,
        linger_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(announce, linger_s=linger_s, clock=clock)
        self.refresh_s = refresh_s
        self._signal = signal
        self._id = secrets.token_hex(8)
        self._elsewhere: dict[str, dict[str, dict[str, int]]] = {}  # worker: room: user: tabs
        self._heard_s: dict[str, float] = {}
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._whole_due_s = 0.0

    def users(self, topic: str) -> dict[str, int]:
        """Return how many connections stand for each user, at all workers."""
        merged = Counter(self.here_alone(topic))
        for rooms in self._elsewhere.values():
            merged.update(rooms.get(topic, {}))
        return {user: merged[user] for user in sorted(merged)}

    def here_alone(self, topic: str) -> dict[str, int]:
        """Return the same for this process alone."""
        return super().users(topic)

    def joined(self, topic: str, user: str) -> None:
        """Tell the others of a user's first connection here; ours, if it is the first of all."""
        self._change(topic)
        if not self._is_elsewhere(topic, user):
            super().joined(topic, user)

    def left(self, topic: str, user: str) -> None:
        """Tell of a user who has gone from here; ours, if it is from everywhere."""
        self._change(topic)
        if not self._is_elsewhere(topic, user):
            super().left(topic, user)

    def hear(self, payload: bytes) -> None:
        """Take in what a worker says, and tell our listeners what is new in it."""
        try:
            told = _Told.model_validate_json(payload)
        except ValidationError:
            return
        if told.worker == self._id:
            return
        self._heard_s[told.worker] = self._clock()
        known = self._elsewhere.setdefault(told.worker, {})
        for topic in tuple(known) if told.whole else ():
            told.rooms.setdefault(topic, {})
        for topic, users in told.rooms.items():
            self._replace(told.worker, topic, users)
        if told.hello:
            self._whole_due_s = 0.0
            self._wake.set()

    def forget_the_silent(self) -> None:
        """Let go of workers that have not been heard for three times `refresh_s`."""
        oldest = self._clock() - SILENCES * self.refresh_s
        for worker in [each for each, heard_s in self._heard_s.items() if heard_s < oldest]:
            for topic in tuple(self._elsewhere[worker]):
                self._replace(worker, topic, {})
            del self._elsewhere[worker], self._heard_s[worker]

    async def gossip(self) -> None:
        """Tell the other workers, until cancelled. What is lost, the next whole makes good."""
        hello = True
        while True:
            whole = self._clock() >= self._whole_due_s
            rooms = self._here if whole else self._changed
            said = {topic: self.here_alone(topic) for topic in sorted(rooms)}
            self._changed.clear()
            if whole:
                self._whole_due_s = self._clock() + self.refresh_s
            if whole or said:
                told = _Told(worker=self._id, rooms=said, whole=whole, hello=hello)
                with suppress(BrokerUnavailableError):
                    await self._signal(PRESENCE, told.model_dump_json())
                    hello = False
            self.forget_the_silent()
            await asyncio.sleep(BATCH_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.refresh_s):
                    await self._wake.wait()
            self._wake.clear()

    def _change(self, topic: str) -> None:
        self._changed.add(topic)
        self._wake.set()

    def _is_elsewhere(self, topic: str, user: str) -> bool:
        return any(user in rooms.get(topic, {}) for rooms in self._elsewhere.values())

    def _replace(self, worker: str, topic: str, users: dict[str, int]) -> None:
        before = self.users(topic).keys()
        if users:
            self._elsewhere[worker][topic] = users
        else:
            self._elsewhere[worker].pop(topic, None)
        after = self.users(topic).keys()
        for user in sorted(after - before):
            super().joined(topic, user)
        for user in sorted(before - after):
            super().left(topic, user)
