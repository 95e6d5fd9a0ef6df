"""A connection lives no longer than the credentials that opened it.

A token is checked when a connection opens, and a connection stays open for hours. So whoever
holds one holds a *lease*: it ends with its token, it can be extended by a newer token of the same
user, and it can be withdrawn at once, by token and by user.

The promises: a lease ends at most one `tick_s` after its token; one that is withdrawn ends in the
call that withdraws it, and the same token opens no other; nothing is kept for leases that are
over. One task watches all of them: there is no timer for each.

Chapter 5. Knows neither sockets nor streams: ending one is a function that the lease was given.
One process: what another one withdraws must be told to this one, by chapter 3's broker.
"""

from __future__ import annotations

import logging
import math
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import anyio

from labkit.architecture.codes import CloseCode
from labkit.architecture.manager import Connection
from labkit.auth.tokens import BadCredentials, Identity

logger = logging.getLogger(__name__)


class End(NamedTuple):
    """Why a lease ended."""

    code: CloseCode
    reason: str


EXPIRED = End(CloseCode.EXPIRED, "expired")
REVOKED = End(CloseCode.REVOKED, "revoked")
FORBIDDEN = End(CloseCode.FORBIDDEN, "forbidden")

OnEnd = Callable[[End], None]


def _still_allowed() -> bool:
    return True


class Lease:
    """The right of one connection to be there. Made by `Live.lease`.

    Attributes:
        identity: whose it is, and until when.
        ended: why it ended; None while it runs.
        allowed: asked by `Live.recheck`; False ends the lease.
    """

    def __init__(self, identity: Identity, live: Live) -> None:
        self.identity = identity
        self.ended: End | None = None
        self.allowed: Callable[[], bool] = _still_allowed
        self.connection: Connection | None = None
        self._live = live
        self._on_end: OnEnd | None = None

    def place(self) -> tuple[float, float]:
        """Return where it stands among others: by its end, and then by who it is."""
        return self.identity.expires_at, id(self)

    def hold(self, connection: Connection) -> None:
        """End this WebSocket with the lease: the `on_open` of a session."""
        self.connection = connection
        self._live.know(connection, self)
        self.when_ended(lambda end: connection.close(*end))

    def when_ended(self, tell: OnEnd) -> None:
        """Call `tell` once, when the lease ends; at once if it has ended already."""
        self._on_end = tell
        if self.ended is not None:
            tell(self.ended)

    def end(self, end: End) -> None:
        """End the lease. The first call decides why."""
        if self.ended is None:
            self.ended = end
            logger.info("ended a connection of %s: %s", self.identity.user, end.reason)
            if self._on_end is not None:
                self._on_end(end)


class Live:
    """The leases of one process.

    Args:
        tick_s: how often the clock is looked at, in seconds.
        remember_s: how long a withdrawn token is remembered: as long as any token lives.
        clock: seconds since 1970, the same as the tokens'.
    """

    def __init__(
        self,
        *,
        tick_s: float = 0.2,
        remember_s: float = 3600.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.tick_s = tick_s
        self.remember_s = remember_s
        self._clock = clock
        self._due: list[Lease] = []  # by their ends, the next one first
        self._by_connection: dict[Connection, Lease] = {}
        self._withdrawn: dict[tuple[str, str], float] = {}  # (kind, name): when, oldest first

    def __len__(self) -> int:
        return len(self._due)

    def check(self, identity: Identity) -> None:
        """Say no to an identity that is over or withdrawn.

        Raises:
            BadCredentials: `expired` or `revoked`.
        """
        if (end := self._over(identity)) is not None:
            raise BadCredentials(end.reason)

    @contextmanager
    def lease(self, identity: Identity) -> Iterator[Lease]:
        """Lend a lease for the body of the `with`, which lasts as long as the connection.

        What was withdrawn since `check` ends before it begins.
        """
        lease = Lease(identity, self)
        if (end := self._over(identity)) is not None:
            lease.end(end)
        insort(self._due, lease, key=Lease.place)
        try:
            yield lease
        finally:
            self._drop(lease)
            if lease.connection is not None:
                self._by_connection.pop(lease.connection, None)

    def know(self, connection: Connection, lease: Lease) -> None:
        """Find the lease by its connection from now on."""
        self._by_connection[connection] = lease

    def renew(self, connection: Connection, identity: Identity) -> None:
        """Let the connection live as long as a newer token of the same user.

        Raises:
            BadCredentials: `other user`, `expired`, or `revoked`.
        """
        lease = self._by_connection[connection]
        if lease.ended is not None:
            raise BadCredentials(lease.ended.reason)
        if identity.user != lease.identity.user:
            raise BadCredentials("other user")
        self.check(identity)
        self._drop(lease)
        lease.identity = identity
        insort(self._due, lease, key=Lease.place)

    def revoke_token(self, token_id: str) -> int:
        """Withdraw one token; returns how many connections ended."""
        self._remember("token", token_id)
        return self._end_if(REVOKED, lambda lease: lease.identity.token_id == token_id)

    def revoke_user(self, user: str) -> int:
        """Withdraw every token that a user has now; returns how many connections ended.

        What is issued to the user later is good again.
        """
        self._remember("user", user)
        return self._end_if(REVOKED, lambda lease: lease.identity.user == user)

    def recheck(self) -> int:
        """End what is not allowed any more, after a permission was withdrawn."""
        return self._end_if(FORBIDDEN, lambda lease: not lease.allowed())

    def sweep(self) -> None:
        """End the leases whose time is over, and forget what needs no remembering."""
        now = self._clock()
        for lease in self._due[: bisect_right(self._due, (now, math.inf), key=Lease.place)]:
            lease.end(EXPIRED)
        while self._withdrawn and next(iter(self._withdrawn.values())) + self.remember_s <= now:
            del self._withdrawn[next(iter(self._withdrawn))]

    async def run(self) -> None:
        """Sweep once a tick, until cancelled."""
        while True:
            await anyio.sleep(self.tick_s)
            self.sweep()

    def _over(self, identity: Identity) -> End | None:
        """Return why the identity is no good any more; None while it is."""
        if identity.expires_at <= self._clock():
            return EXPIRED
        token = self._withdrawn.get(("token", identity.token_id))
        user = self._withdrawn.get(("user", identity.user), -1.0)
        return REVOKED if token is not None or identity.issued_at <= user else None

    def _drop(self, lease: Lease) -> None:
        del self._due[bisect_left(self._due, lease.place(), key=Lease.place)]

    def _remember(self, kind: str, name: str) -> None:
        self._withdrawn.pop((kind, name), None)  # the newest is the last
        self._withdrawn[kind, name] = self._clock()

    def _end_if(self, end: End, wanted: Callable[[Lease], bool]) -> int:
        ending = [lease for lease in self._due if lease.ended is None and wanted(lease)]
        for lease in ending:
            lease.end(end)
        return len(ending)
