"""Several messages in one frame, when there are several, and no waiting when there is one.

The promises: a message to an idle connection leaves at once; what follows within `max_wait_s`
leaves together, and none waits longer than that; a batch is bounded in items and bytes; nothing
runs while nothing waits. Each message was encoded when it was made, so a bad one never gets here.

The frames of one turn are one write already (chapter 1's outbox, `frames`). A batch saves more
than that: the frame, the client's wake-up, the client's call of `onmessage`. It changes the
protocol, so the client must know it: `{"type": "batch", "messages": […]}`.

Chapter 7.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from labkit.architecture.messages import Outgoing

_HEAD, _TAIL = '{"type":"batch","messages":[', "]}"


def batch(messages: list[Outgoing]) -> Outgoing:
    """Make one message of several texts, which are JSON already. One alone stays as it is."""
    if len(messages) == 1:
        return messages[0]
    text = f"{_HEAD}{','.join(str(each.payload) for each in messages)}{_TAIL}"
    size = sum(each.size for each in messages) + len(messages) - 1 + len(_HEAD) + len(_TAIL)
    return Outgoing(text, size)


class Batcher:
    """Gathers the messages to one connection; whoever owns the connection closes it.

    Args:
        send: takes what is ready: `Connection.send`, whose outbox bounds what a slow reader costs.
        max_wait_s: how long a message may wait for others. With 0, until the end of this turn.
        max_items, max_bytes: a batch that has so many leaves at once.
        latest: of each `key` only the newest message waits: prices, positions.

    Raises:
        ValueError: a bound makes no sense; the message names it.
    """

    __slots__ = ("_bytes", "_latest", "_loop", "_max_bytes", "_max_items", "_max_wait_s", "_send",
                 "_timer", "_waiting")  # fmt: skip

    def __init__(
        self,
        send: Callable[[Outgoing], object],
        *,
        max_wait_s: float = 0.0,
        max_items: int = 100,
        max_bytes: int = 16_384,
        latest: bool = False,
    ) -> None:
        for name, bound in (("max_items", max_items), ("max_bytes", max_bytes)):
            if bound < 1:
                raise ValueError(f"{name} is {bound}: a batch has room for 1 or more")
        if max_wait_s < 0:
            raise ValueError(f"max_wait_s is {max_wait_s}: give seconds, 0 or more")
        self._send = send
        self._max_wait_s = max_wait_s
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._latest = latest
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._waiting: dict[object, Outgoing] = {}
        self._bytes = 0

    def put(self, message: Outgoing) -> None:
        """Send it now when nothing was sent lately, and with others otherwise. Never waits."""
        if isinstance(message.payload, bytes):
            self.flush()  # bytes have no place in a JSON list, and keep theirs in the order
            self._send(message)
        elif self._timer is None:
            self._send(message)
            self._timer = self._later()
        else:
            self._add(message)
            if len(self._waiting) >= self._max_items or self._bytes >= self._max_bytes:
                self.flush()

    def flush(self) -> None:
        """Send what waits, now: before a goodbye, for instance."""
        if self._waiting:
            messages, self._waiting, self._bytes = list(self._waiting.values()), {}, 0
            self._send(batch(messages))

    def close(self) -> None:
        """Forget what waits: the client has gone. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()
        self._bytes = 0

    def _add(self, message: Outgoing) -> None:
        key: object = message.key if self._latest and message.key is not None else object()
        superseded = self._waiting.pop(key, None)
        self._waiting[key] = message
        self._bytes += message.size - (superseded.size if superseded else 0)

    def _later(self) -> asyncio.Handle:
        if self._max_wait_s:
            return self._loop.call_later(self._max_wait_s, self._tick)
        return self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        """Send what came meanwhile, and look again; rest when nothing came."""
        self._timer = self._later() if self._waiting else None
        self.flush()
