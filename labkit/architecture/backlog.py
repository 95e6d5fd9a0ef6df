"""What waits for one slow reader: bounded by count *and* by bytes, with a named policy.

The promise: whatever a reader does, what the server keeps for it stays below `max_items`
and below `max_bytes`, and what is lost is counted. Pure data, no event loop.

Chapter 1. Used for what goes out (`outbox`, event streams) and for what comes in (`session`).
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")


class Overflow(Enum):
    """What happens when the backlog is full."""

    DISCONNECT = "disconnect"
    """Refuse the item; the owner ends the connection and the client resumes elsewhere."""
    DROP_OLDEST = "drop oldest"
    """Make room for the new one: a price ticker, a position on a map."""
    DROP_NEWEST = "drop newest"
    """Keep what is there: a log whose beginning explains the rest."""
    KEEP_LATEST = "keep latest"
    """Of each key only the newest waits; without room, drop the oldest: a dashboard."""


class Backlog(Generic[T]):
    """A queue that cannot grow.

    Args:
        max_items: at most this many items, one or more.
        max_bytes: at most this many bytes, as the caller measures them.
        overflow: what happens when an item does not fit.

    Raises:
        ValueError: a bound is below one.

    Attributes:
        bytes: the sum of the sizes of what waits.
        dropped: how many items were lost so far, by any policy.
    """

    __slots__ = ("_entries", "_plain", "bytes", "dropped", "max_bytes", "max_items", "overflow")

    def __init__(
        self,
        *,
        max_items: int = 256,
        max_bytes: int = 1 << 20,
        overflow: Overflow = Overflow.DISCONNECT,
    ) -> None:
        for name, bound in (("max_items", max_items), ("max_bytes", max_bytes)):
            if bound < 1:
                raise ValueError(f"{name} is {bound}: a backlog needs room for 1 or more")
        self.max_items = max_items
        self.max_bytes = max_bytes
        self.overflow = overflow
        self.bytes = 0
        self.dropped = 0
        self._entries: deque[tuple[T, int, str | None]] | None = None  # 600 bytes; most wait never
        self._plain = overflow is not Overflow.KEEP_LATEST

    def __len__(self) -> int:
        return 0 if self._entries is None else len(self._entries)

    def put(self, item: T, size: int, key: str | None = None) -> bool:
        """Append `item`, or apply the policy.

        Args:
            item: what waits.
            size: its bytes.
            key: with `KEEP_LATEST`, which waiting item it supersedes.

        Returns:
            False when the item was refused: under `DISCONNECT` that is the sign to end the
            connection. An item larger than `max_bytes` is refused under every policy.
        """
        if not (self._plain and self.fits(size)) and not self._make_room(size, key):
            self.dropped += 1
            return False
        if self._entries is None:
            self._entries = deque()
        self._entries.append((item, size, key))
        self.bytes += size
        return True

    def pop(self) -> T:
        """Take the oldest item out.

        Raises:
            IndexError: nothing waits.
        """
        if self._entries is None:
            raise IndexError("nothing waits")
        item, size, _ = self._entries.popleft()
        self.bytes -= size
        return item

    def drain(self) -> list[T]:
        """Take everything out, oldest first."""
        items = [item for item, _, _ in self._entries or ()]
        self._entries = None
        self.bytes = 0
        return items

    def fits(self, size: int) -> bool:
        """Say whether an item of `size` bytes has room without any loss."""
        entries = self._entries
        room = entries is None or len(entries) < self.max_items
        return room and self.bytes + size <= self.max_bytes

    def _make_room(self, size: int, key: str | None) -> bool:
        """Apply the policy; False when the item is to be refused."""
        makes_room = self.overflow in (Overflow.DROP_OLDEST, Overflow.KEEP_LATEST)
        if size > self.max_bytes or not (makes_room or self.fits(size)):
            return False
        if self.overflow is Overflow.KEEP_LATEST and key is not None:
            self._supersede(key)
        while not self.fits(size):
            self.pop()
            self.dropped += 1
        return True

    def _supersede(self, key: str) -> None:
        if self._entries is None:
            return
        for index, (_, size, each) in enumerate(self._entries):
            if each == key:
                del self._entries[index]
                self.bytes -= size
                self.dropped += 1
                return
