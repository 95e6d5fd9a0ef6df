"""How many connections a process holds: in all, for one user, from one address.

The promises: a place is reserved in one step that cannot be interrupted, so no flood gets in
between the question and the answer; what is counted is connections, never names; a place is
given back exactly once; being refused changes nothing for those who are in.

Chapter 4. Pure: knows neither sockets nor frameworks. One process: `uvicorn --workers 4`
multiplies each limit by four.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Literal, NamedTuple, Self

IPV6_HOST_BITS = 64
"""One subscriber usually owns a whole /64 (RFC 6177), so that is one address here."""

Scope = Literal["server", "user", "address"]


class AtCapacity(Exception):  # noqa: N818 - it names the refusal
    """There is no place.

    Attributes:
        scope: which limit it was: `server`, `user` or `address`.
        limit: how many connections it allows.
    """

    def __init__(self, scope: Scope, limit: int) -> None:
        super().__init__(f"{limit} connections for one {scope} are the limit")
        self.scope = scope
        self.limit = limit


class _Key(NamedTuple):
    scope: Scope
    name: str


class Slot:
    """One connection's place. `release` gives it back, and so does leaving the `with` block."""

    def __init__(self, capacity: Capacity, keys: tuple[_Key, ...]) -> None:
        self._capacity = capacity
        self._keys = keys

    def release(self) -> None:
        """Give the place back. Idempotent."""
        keys, self._keys = self._keys, ()
        self._capacity._give_back(keys)  # noqa: SLF001 - two halves of one promise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Capacity:
    """The places of one process.

    Args:
        server: connections in all. Each costs 15 to 65 KiB while idle, up to 1 MiB more when
            its client is slow, and a file descriptor: keep it below `ulimit -n`.
        per_user: connections of one user: tabs times devices.
        per_address: connections from one IPv4 address or one IPv6 /64. Offices and mobile
            networks put many people behind one address: do not make it small.

    Attributes:
        refused: how often each limit said no.

    Raises:
        ValueError: a limit is less than one.
    """

    def __init__(self, *, server: int = 10_000, per_user: int = 20, per_address: int = 200) -> None:
        self._limits: dict[Scope, int] = {
            "server": server,
            "user": per_user,
            "address": per_address,
        }
        for scope, limit in self._limits.items():
            if limit < 1:
                raise ValueError(f"the limit for one {scope} is {limit}: let in at least 1")
        self._held: Counter[_Key] = Counter()
        self.refused: Counter[Scope] = Counter()

    @property
    def in_use(self) -> int:
        """How many places are taken."""
        return self._held[_Key("server", "")]

    @property
    def full(self) -> bool:
        """Whether the next connection is refused, whoever it is."""
        return self.in_use >= self._limits["server"]

    def reserve(self, *, user: str | None = None, address: str | None = None) -> Slot:
        """Take a place, or raise. A plain function: nothing can run in between.

        Args:
            user: who it is, as authentication says; None is counted by address alone.
            address: the client's IP address; None is counted for the server alone.

        Raises:
            AtCapacity: a limit is reached. Nothing has changed.
        """
        keys = [_Key("server", "")]
        if user is not None:
            keys.append(_Key("user", user))
        if address is not None:
            keys.append(_Key("address", block_of(address)))
        for key in keys:
            if self._held[key] >= self._limits[key.scope]:
                self.refused[key.scope] += 1
                raise AtCapacity(key.scope, self._limits[key.scope])
        self._held.update(keys)
        return Slot(self, tuple(keys))

    def _give_back(self, keys: tuple[_Key, ...]) -> None:
        for key in keys:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]


def block_of(address: str) -> str:
    """Name what counts as one address: an IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address  # a Unix socket, or a test client
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((parsed, IPV6_HOST_BITS), strict=False))
        parsed = parsed.ipv4_mapped
    return str(parsed)
