"""The wire view: what really crossed between the clients and the application.

`Wire.tap` wraps an ASGI application. Everything that passes the ASGI boundary is written down
in the order in which it passed; nothing is held back, changed or reordered. A `send` that has
not returned is a frame without an end, and that is how a slow client becomes visible.

ASGI is one step above the socket: pings, fragments and compression stay inside the server.
`labkit.testing.link` sees those, and `labkit.workbench.rawwire` draws them.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.workbench.display import Live, is_static
from labkit.workbench.frames import GAP, Frame
from labkit.workbench.sequence import Diagram
from labkit.workbench.tap import HttpTap, WebSocketTap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from labkit.workbench.frames import Entry

IDS = (
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",  # UUID
    r"\b(?=[a-f]*\d)[0-9a-f]{12,64}\b",  # hexadecimal token
    r"\b\d{10}\.\d+\b",  # seconds since 1970
)
"""What differs from run to run: shown as #1, #2, … in the order of appearance."""

_LIVE_FRAMES = 14


class Wire:
    """Record of what crossed the ASGI boundary of the applications that it taps.

    Args:
        max_events: Frames to keep. The oldest are dropped and counted in `dropped`.
        ids: Regular expressions of words that differ from run to run, see `IDS`.
    """

    def __init__(self, *, max_events: int = 2000, ids: Sequence[str] = IDS) -> None:
        if max_events < 1:
            raise ValueError(f"max_events={max_events} keeps nothing: use 1 or more")
        self._ids = re.compile("|".join(ids)) if ids else None
        self._entries: deque[Entry] = deque(maxlen=max_events)
        self._recorded = 0
        self._servers: set[str] = set()
        self._unnamed: dict[object, str] = {}
        self._watchers: set[Callable[[], None]] = set()

    def tap(self, app: ASGIApp, name: str = "server") -> ASGIApp:
        """Return `app`, recorded under `name`. Both behave the same."""
        self._servers.add(name)

        async def tapped(scope: Scope, receive: Receive, send: Send) -> None:
            kinds = {"websocket": WebSocketTap, "http": HttpTap}
            if scope["type"] not in kinds:
                await app(scope, receive, send)
                return
            tap = kinds[scope["type"]](self, self._client_of(scope), name, receive, send)
            await tap.run(app, scope)

        return tapped

    @property
    def frames(self) -> tuple[Frame, ...]:
        """What was recorded, in the order in which it crossed."""
        return tuple(entry.frame() for entry in self._entries)

    @property
    def dropped(self) -> int:
        """Number of frames that were forgotten because there were more than `max_events`."""
        return self._recorded - len(self._entries)

    def clear(self) -> None:
        """Forget what was recorded. Clients without a name are counted from 1 again."""
        self._entries.clear()
        self._unnamed.clear()
        self._recorded = 0

    def record(self, entry: Entry) -> None:
        """Write an entry down; its end may still change."""
        self._entries.append(entry)
        self._recorded += 1
        self.changed()

    def changed(self) -> None:
        """Tell those who look on that there is something new to see."""
        for watcher in self._watchers:
            watcher()

    async def until(self, actor: str, kind: str, *, timeout_s: float = 5.0) -> Frame:
        """Wait until a frame of this kind has crossed to or from `actor`, and return the last one.

        Raises:
            TimeoutError: None did.
        """
        news = asyncio.Event()
        self._watchers.add(news.set)
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for entry in reversed(self._entries):
                        if entry.kind == kind and actor in {entry.source, entry.target}:
                            return entry.frame()
                    news.clear()
                    await news.wait()
        except TimeoutError:
            raise TimeoutError(
                f"no {kind} of {actor} crossed the wire in {timeout_s:g} s"
            ) from None
        finally:
            self._watchers.discard(news.set)

    def show(
        self,
        *,
        first: int = 0,
        last: int | None = None,
        only: Iterable[str] = (),
        hide: Iterable[str] = (),
        mask: Iterable[str] = (),
        group: bool = False,
    ) -> Diagram:
        """Return the picture of what was recorded, or of a part of it.

        Args:
            first: Frames to keep from the beginning, when `last` leaves some out.
            last: Frames to keep from the end. None keeps all.
            only: Actors to show, with their servers. Empty shows all.
            hide: Kinds of frames, or words in them, that are left out: `("ping", "accept")`.
            mask: Regular expressions of text to show as an ellipsis: what varies, such as counters.
            group: Whether to sort by client, so that the order *between* clients does not matter.
        """
        chosen = self._choose(set(only), tuple(hide))
        clients = sorted({self._client(frame) for frame in chosen}, key=_natural)
        if group:
            chosen.sort(key=lambda frame: clients.index(self._client(frame)))
        if last is not None and len(chosen) > first + last:
            chosen = [*chosen[:first], GAP, *chosen[len(chosen) - last :]]
        named = {frame.source for frame in chosen} | {frame.target for frame in chosen}
        servers = [name for name in sorted(self._servers, key=_natural) if name in named]
        shown = self._relabel(chosen, tuple(mask))
        return Diagram(shown, (*clients, *servers), frozenset(servers))

    @asynccontextmanager
    async def live(
        self,
        *,
        last: int = _LIVE_FRAMES,
        only: Iterable[str] = (),
        hide: Iterable[str] = (),
        mask: Iterable[str] = (),
        group: bool = False,
    ) -> AsyncIterator[Wire]:
        """Show one picture that grows while the body runs; where displays are static, the last one.

        Takes the filters of `show`.
        """

        def picture() -> Diagram:
            return self.show(last=last, only=only, hide=hide, mask=mask, group=group)

        only, hide, mask = tuple(only), tuple(hide), tuple(mask)
        with Live(picture, static=is_static()) as live:
            self._watchers.add(live.changed)
            try:
                yield self
            finally:
                self._watchers.discard(live.changed)

    def _client_of(self, scope: Scope) -> str:
        for key, value in scope["headers"]:
            if key == b"x-lab-client":
                return str(value.decode("latin-1"))
        peer = tuple(scope.get("client") or ())
        return self._unnamed.setdefault(peer, f"client {len(self._unnamed) + 1}")

    def _client(self, frame: Frame) -> str:
        return frame.target if frame.source in self._servers else frame.source

    def _choose(self, only: set[str], hide: tuple[str, ...]) -> list[Frame]:
        return [
            frame
            for frame in self.frames
            if (not only or only & {frame.source, frame.target})
            and not any(word == frame.kind or word in frame.text for word in hide)
        ]

    def _relabel(self, frames: list[Frame], mask: tuple[str, ...]) -> tuple[Frame, ...]:
        seen: dict[str, str] = {}

        def number(found: re.Match[str]) -> str:
            return seen.setdefault(found[0], f"#{len(seen) + 1}")

        def clean(text: str) -> str:
            for pattern in mask:
                text = re.sub(pattern, "…", text)
            return self._ids.sub(number, text) if self._ids else text

        return tuple(f if f is GAP else replace(f, text=clean(f.text)) for f in frames)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort `client 2` before `client 10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
