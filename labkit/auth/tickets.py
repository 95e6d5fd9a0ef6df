"""A ticket opens one connection, once, soon.

A browser cannot put a header on a WebSocket or an `EventSource`, and a token in an address ends
in every log on the way. So a page fetches a ticket with an ordinary request, and shows *that* in
the address: whoever reads it in a log later reads something spent.

The promises: a ticket is 256 random bits; it is taken by one, however many try at the same
moment; it is good for `lifetime_s`; the store keeps only its hash.

Chapter 5. Memory for one process, Valkey (or Redis) for many: one contract.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Protocol

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError

from labkit.auth.tokens import AuthUnavailable, BadCredentials, Identity

_BYTES = 32
_CHARS = 43  # of 32 bytes, in base64 for addresses


class Tickets(Protocol):
    """Makes tickets, and takes each of them once."""

    async def issue(self, identity: Identity) -> str:
        """Make a ticket for this identity.

        Raises:
            AuthUnavailable: the store does not answer, or is full.
        """
        ...

    async def take(self, ticket: str) -> Identity:
        """Use a ticket up, and return who it was made for.

        Raises:
            BadCredentials: there is no such ticket, or not any more.
            AuthUnavailable: the store does not answer.
        """
        ...


def key_of(ticket: str) -> str:
    """Return what a store may keep of a ticket.

    Raises:
        BadCredentials: it cannot be one of ours.
    """
    if len(ticket) != _CHARS or not ticket.isascii():
        raise BadCredentials("malformed")
    return hashlib.sha256(ticket.encode()).hexdigest()


class MemoryTickets:
    """Tickets of one process.

    Args:
        lifetime_s: how long a ticket is good.
        max_tickets: how many may be out at a time; they are small, but not nothing.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        lifetime_s: float = 15.0,
        max_tickets: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifetime_s = lifetime_s
        self._max_tickets = max_tickets
        self._clock = clock
        self._waiting: dict[str, tuple[Identity, float]] = {}  # oldest first

    async def issue(self, identity: Identity) -> str:
        """See `Tickets.issue`."""
        now = self._clock()
        while self._waiting and next(iter(self._waiting.values()))[1] <= now:
            del self._waiting[next(iter(self._waiting))]
        if len(self._waiting) >= self._max_tickets:
            raise AuthUnavailable("too many tickets are out")
        ticket = secrets.token_urlsafe(_BYTES)
        self._waiting[key_of(ticket)] = identity, now + self._lifetime_s
        return ticket

    async def take(self, ticket: str) -> Identity:
        """See `Tickets.take`. There is no await between looking and taking."""
        identity, ends = self._waiting.pop(key_of(ticket), (None, 0.0))
        if identity is None or ends <= self._clock():
            raise BadCredentials("no such ticket")
        return identity


class ValkeyTickets:
    """Tickets that every process sees which is connected to the same server.

    Args:
        client: of Valkey or Redis 6.2 or later, owned by the application.
        lifetime_s: how long a ticket is good.
        timeout_s: how long the server may take to answer.
        prefix: put before each key.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        *,
        lifetime_s: float = 15.0,
        timeout_s: float = 2.0,
        prefix: str = "ticket:",
    ) -> None:
        self._client = client
        self._lifetime_ms = round(lifetime_s * 1000)
        self._timeout_s = timeout_s
        self._prefix = prefix

    async def issue(self, identity: Identity) -> str:
        """See `Tickets.issue`."""
        ticket = secrets.token_urlsafe(_BYTES)
        key = self._prefix + key_of(ticket)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._client.set(key, identity.model_dump_json(), px=self._lifetime_ms)
        except (RedisError, OSError) as error:
            raise AuthUnavailable("the tickets' store does not answer") from error
        return ticket

    async def take(self, ticket: str) -> Identity:
        """See `Tickets.take`. GETDEL looks and takes in one step of the server."""
        key = self._prefix + key_of(ticket)
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._client.getdel(key)
        except (RedisError, OSError) as error:
            raise AuthUnavailable("the tickets' store does not answer") from error
        if found is None:
            raise BadCredentials("no such ticket")
        return Identity.model_validate_json(found)
