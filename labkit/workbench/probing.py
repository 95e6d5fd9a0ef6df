"""A production checklist that runs: each item is a probe of a real server, from outside.

A probe knows nothing of the server's code. It opens connections, sends signals, takes the broker
away, and says whether the item is kept, with a line of evidence that is the same on every run.
The guide's fifteen items are in `checklist`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.testing.clients import WebSocketClient
from labkit.testing.process import ServerProcess
from labkit.testing.valkey import ValkeyServer
from labkit.workbench.display import Table, Tabled, table

if TYPE_CHECKING:
    from collections.abc import Iterator


TIMEOUT_S = 10.0


class Way(NamedTuple):
    """How somebody comes in: a path, and what the handshake shows."""

    path: str
    headers: Mapping[str, str] = MappingProxyType({})
    subprotocols: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """One server, and how to talk to it.

    Attributes:
        process: the server.
        sibling: a second worker of the same service.
        valkey: the broker of both.
        member: how a user comes in; asked for each connection, since a ticket works once.
        stranger: how somebody tries who shows nothing.
        ask: a message that is answered, with a `pong`.
        join: the message that makes a member hear the others.
        say: makes a message that those others hear; it contains the text "hello".
        spy: a message by which one user asks for what is another's.
        count: how many connections the server believes in.
        live, ready, metrics, page: paths.
        gauge: the name of the metric that counts connections.
        idle_s: seconds after which an unused connection has to go.
    """

    process: ServerProcess
    sibling: ServerProcess
    valkey: ValkeyServer
    member: Callable[[ServerProcess, str], Awaitable[Way]]
    stranger: Way
    ask: Mapping[str, Any]
    join: Mapping[str, Any]
    say: Callable[[], Mapping[str, Any]]
    spy: Mapping[str, Any]
    count: Callable[[ServerProcess], Awaitable[int]]
    live: str = "/livez"
    ready: str = "/readyz"
    metrics: str = "/metrics"
    page: str = "/"
    gauge: str = "websocket_connections"
    idle_s: float = 0.5

    async def connect(
        self, user: str = "ada", *, process: ServerProcess | None = None
    ) -> WebSocketClient:
        """Let a user in. Raises what `WebSocketClient.connect` raises."""
        process = process or self.process
        return await enter(process, await self.member(process, user), user)


async def enter(process: ServerProcess, way: Way, name: str) -> WebSocketClient:
    """Open a WebSocket by a way. Raises what `WebSocketClient.connect` raises."""
    return await WebSocketClient.connect(
        process.ws_url + way.path,
        name=name,
        headers=way.headers,
        subprotocols=way.subprotocols,
        timeout_s=TIMEOUT_S,
    )


class Found(NamedTuple):
    """What a probe found: whether the item is kept, and what it saw."""

    kept: bool
    evidence: str

    def __str__(self) -> str:
        return f"{'✓' if self.kept else '✗'} {self.evidence}"


Probe = Callable[[Target], Awaitable[Found]]


class Item(NamedTuple):
    """One line of the checklist.

    Attributes:
        id: as in the ledger.
        title: in the guide's words.
        probe: finds out.
        turn: 0 goes together with others, what is more goes alone, in this order.
    """

    id: str
    title: str
    probe: Probe
    turn: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class Checklist(Tabled):
    """What was found at each server, by its name."""

    items: tuple[Item, ...]
    found: Mapping[str, Mapping[str, Found]]

    def kept(self, server: str, item: str) -> bool:
        """Whether a server keeps an item."""
        return self.found[server][item].kept

    def score(self, server: str) -> str:
        """Count what is kept: `15 of 15`."""
        kept = sum(found.kept for found in self.found[server].values())
        return f"{kept} of {len(self.items)}"

    @property
    def table(self) -> Table:
        """The table: a row for each item, a column for each server, the score below."""
        return table(list(self._lines()), ("item", *self.found))

    def _lines(self) -> Iterator[tuple[str, ...]]:
        for item in self.items:
            yield (item.title, *(str(each[item.id]) for each in self.found.values()))
        yield ("kept", *map(self.score, self.found))


async def examine(items: Sequence[Item], targets: Mapping[str, Target]) -> Checklist:
    """Run every probe against every server, all servers at once.

    Args:
        items: in the order of the table.
        targets: by a name for people. A probe may end the server, so it is of no use later.
    """
    seen = await asyncio.gather(*(_examine(items, target) for target in targets.values()))
    return Checklist(tuple(items), dict(zip(targets, seen, strict=True)))


async def _examine(items: Sequence[Item], target: Target) -> dict[str, Found]:
    together = [item for item in items if not item.turn]
    first = await asyncio.gather(*(_find(item, target) for item in together))
    found = {item.id: each for item, each in zip(together, first, strict=True)}
    for item in sorted(items, key=attrgetter("turn")):
        if item.turn:
            found[item.id] = await _find(item, target)
    return found


async def _find(item: Item, target: Target) -> Found:
    try:
        return await item.probe(target)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, the item is not proven
        return Found(False, f"{type(error).__name__}: {error}".partition("\n")[0])
