"""In order, nothing missing, nothing twice: what each side has to remember for it.

`Follower` is the client's half: from the position on each message it knows whether the message
is the next, an old one, or proof that something is missing. `Once` is the server's half for what
clients send: a message that comes again is not done again, and gets the same answer.

What an acknowledgement means: *it is done, and it is in the history*. Not that anyone has read it.
Without one, the sender knows nothing: it may be done or not. So a sender that
    never repeats      is heard at most once,
    repeats until `ok` is heard at least once,
    repeats with an id is heard, in effect, once: as long as the server remembers the id.

Chapter 9. Both are pure but for the wait in `Once.do`; the clock is an argument.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import NamedTuple, TypeVar

from labkit.architecture.handlers import Refused
from labkit.architecture.messages import ClientMessage
from labkit.sse.history import Position

T = TypeVar("T")


class Place(Enum):
    """Where a message stands, seen from the last one."""

    NEXT = "next"
    AGAIN = "again"
    """Known already: leave it out."""
    GAP = "gap"
    """Something before it is missing: subscribe again after the last position."""


class Follower:
    """What one client has heard of one topic.

    Attributes:
        position: of the last message without a gap before it; None before the first. The
            client's `after`, when it comes back.
    """

    def __init__(self, position: Position | None = None) -> None:
        self.position = position

    def hear(self, text: str) -> Place:
        """Compare a message's `at` with the last one, and move on if it is the next.

        Raises:
            ValueError: the text is no position.
        """
        heard, last = Position.parse(text), self.position
        if last is None:
            self.position = heard
            return Place.NEXT
        if heard.epoch != last.epoch or heard.offset > last.offset + 1:
            return Place.GAP
        if heard.offset <= last.offset:
            return Place.AGAIN
        self.position = heard
        return Place.NEXT

    def jump(self, text: str) -> None:
        """Begin anew at a position: what was before has been fetched in another way.

        Raises:
            ValueError: the text is no position.
        """
        self.position = Position.parse(text)


class _Done(NamedTuple):
    at_s: float
    digest: bytes
    answer: object


class Once:
    """The messages that were done lately, by user and by the id that the client gave them.

    Args:
        max_ids: ids remembered for one user; then the oldest is forgotten.
        max_age_s: seconds an id is remembered.
        timeout_s: seconds that one message may take, the wait for its twin included.
        clock: monotonic seconds.

    Raises:
        ValueError: a bound is not positive.
    """

    def __init__(
        self,
        *,
        max_ids: int = 256,
        max_age_s: float = 300.0,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        bounds = {"max_ids": max_ids, "max_age_s": max_age_s, "timeout_s": timeout_s}
        for name, bound in bounds.items():
            if bound <= 0:
                raise ValueError(f"{name} is {bound}: give more than 0")
        self.max_ids = max_ids
        self.max_age_s = max_age_s
        self.timeout_s = timeout_s
        self._clock = clock
        self._users: OrderedDict[str, OrderedDict[str, _Done]] = OrderedDict()  # the idlest first
        self._running: dict[tuple[str, str], asyncio.Event] = {}

    def __len__(self) -> int:
        return sum(map(len, self._users.values()))

    async def do(self, user: str, message: ClientMessage, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` for a message that was not done yet, or return the answer it had.

        The same message on two connections at once is done by one, and answered on both. Work
        that raises was not done, and may come again.

        Raises:
            Refused: the id belongs to another message, `id_reused`, or there is none.
            TimeoutError: it took too long.
            Exception: what `work` raised.
        """
        if message.id is None:
            raise Refused("id_missing", "a message that may come again needs an `id`")
        key = user, message.id
        async with asyncio.timeout(self.timeout_s):
            while (twin := self._running.get(key)) is not None:
                await twin.wait()
            known = self._known(user).get(message.id)
            digest = hashlib.sha256(message.model_dump_json().encode()).digest()
            if known is not None and known.digest != digest:
                raise Refused("id_reused", "another message had this `id`")
            if known is not None:
                return known.answer  # type: ignore[return-value]  # of the same message
            self._running[key] = asyncio.Event()
            try:
                answer = await work()
                self._remember(user, message.id, _Done(self._clock(), digest, answer))
            finally:
                self._running.pop(key).set()
            return answer

    def _known(self, user: str) -> OrderedDict[str, _Done]:
        """Return what the user did lately, after everything that is too old was forgotten."""
        oldest = self._clock() - self.max_age_s
        while self._users and _newest(next(iter(self._users.values()))).at_s < oldest:
            self._users.popitem(last=False)
        known = self._users.get(user, OrderedDict())
        while known and next(iter(known.values())).at_s < oldest:
            known.popitem(last=False)
        return known

    def _remember(self, user: str, id_: str, done: _Done) -> None:
        known = self._users.setdefault(user, OrderedDict())
        known[id_] = done
        self._users.move_to_end(user)
        if len(known) > self.max_ids:
            known.popitem(last=False)


def _newest(known: OrderedDict[str, _Done]) -> _Done:
    return next(reversed(known.values()))
