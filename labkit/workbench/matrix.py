"""Hostile input against several servers: one table, with a mark for each promise kept or broken."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.testing.clients import WebSocketClient
from labkit.testing.hostile import MOMENT_S, Row, attack
from labkit.workbench.display import Table, Tabled, table

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE = 6
BYSTANDER = "everyone else"


@dataclass(frozen=True, slots=True, repr=False)
class Matrix(Tabled):
    """What each server did about each row.

    Attributes:
        rows: what was sent, and what a correct server may do.
        seen: the outcomes of each server, by its name.
    """

    rows: tuple[Row, ...]
    seen: Mapping[str, tuple[str, ...]]

    def broken(self, server: str) -> int:
        """Count the promises that a server did not keep."""
        pairs = zip(self.rows, self.seen[server], strict=True)
        return sum(outcome not in row.promise for row, outcome in pairs)

    def outcome(self, server: str, name: str) -> str:
        """Return what a server did about the row of that name."""
        return dict(zip((row.name for row in self.rows), self.seen[server], strict=True))[name]

    @property
    def table(self) -> Table:
        """The table: a row for each thing that was sent, a column for each server."""
        return table(list(self._lines()), ("what is sent", "promise", *self.seen))

    def _lines(self) -> Iterator[tuple[str, ...]]:
        for row, *outcomes in zip(self.rows, *self.seen.values(), strict=True):
            marked = (f"{'✓' if each in row.promise else '✗'} {each}" for each in outcomes)
            yield (row.name, row.promise[0], *marked)


async def matrix(
    rows: Sequence[Row], servers: Mapping[str, str], *, patience_s: float = MOMENT_S
) -> Matrix:
    """Send every row to every server, and look after one client who did nothing.

    Args:
        rows: see `labkit.testing.hostile`.
        servers: addresses of WebSocket endpoints, by a name for people.
        patience_s: seconds after which no answer counts as silence.
    """
    seen = {name: await _besiege(url, rows, patience_s) for name, url in servers.items()}
    return Matrix((*rows, Row(BYSTANDER, "", ("connected",))), seen)


async def _besiege(url: str, rows: Sequence[Row], patience_s: float) -> tuple[str, ...]:
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(row: Row) -> str:
        async with limit:
            return await attack(url, row, patience_s=patience_s)

    async with await WebSocketClient.connect(url, name="bystander") as bystander:
        outcomes = await asyncio.gather(*map(one, rows))
        return (*outcomes, "connected" if bystander.open else "cut off")
