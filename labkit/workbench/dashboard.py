"""A small dashboard: what a service's own `/metrics` says, drawn while a cell runs."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from prometheus_client.parser import text_string_to_metric_families

from labkit.workbench.display import Live, is_static
from labkit.workbench.plots import Plot, curves

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

LOOK_EVERY_S = 0.1
_TLS = ssl.create_default_context()  # unused, and each client would read it anew: 20 ms

Samples = dict[str, float]
"""Values by name and labels, such as `realtime_connections_active{transport="websocket"}`."""


def samples_of(text: str) -> Samples:
    """Read the text of a scrape."""
    return {
        _name(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _name(name: str, labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{pairs}}}" if pairs else name


async def scrape(url: str) -> Samples:
    """Scrape once, over a connection of its own: of many workers, any may answer.

    Raises:
        httpx.HTTPError: there was no answer, or none that is good.
    """
    async with httpx.AsyncClient(verify=_TLS, follow_redirects=True) as http:
        answer = await http.get(url)
    return samples_of(answer.raise_for_status().text)


class Dashboard:
    """What was seen so far. Made by `dashboard`.

    Args:
        url: address of the metrics.
        names: samples to follow, by what the picture calls them.
        verdict: what the final picture shows, in words that are always the same.
    """

    def __init__(self, url: str, names: Mapping[str, str], verdict: str) -> None:
        self._url = url
        self._names = names
        self._verdict = verdict
        self._began_s = time.monotonic()
        self._seen: dict[str, list[tuple[float, float]]] = {title: [] for title in names}

    async def look(self) -> None:
        """Add a point to each line, now; a sample that is not there yet is 0."""
        samples = await scrape(self._url)
        at_s = time.monotonic() - self._began_s
        for title, name in self._names.items():
            self._seen[title].append((at_s, samples.get(name, 0.0)))

    @property
    def last(self) -> dict[str, float]:
        """The newest value of each line."""
        return {title: points[-1][1] for title, points in self._seen.items() if points}

    def picture(self) -> Plot:
        """Draw it as it is now."""
        return curves(self._seen, verdict=self._verdict, title="/metrics", x="seconds", y="count")


@asynccontextmanager
async def dashboard(
    url: str, names: Mapping[str, str], *, verdict: str
) -> AsyncIterator[Dashboard]:
    """Follow a scrape address for the body of the block, and draw it.

    Args:
        url: address of the metrics.
        names: samples to follow, such as `realtime_connections_active{transport="websocket"}`,
            by what the picture calls them.
        verdict: what the final picture shows, in words that are the same on every machine.
    """
    board = Dashboard(url, names, verdict)
    await board.look()
    with Live(board.picture, static=is_static()) as live:
        following = asyncio.ensure_future(_follow(board, live))
        try:
            yield board
        finally:
            following.cancel()
            await asyncio.wait({following})
        await board.look()


async def _follow(board: Dashboard, live: Live) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        await board.look()
        live.changed()
