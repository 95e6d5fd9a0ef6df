"""What crosses between two actors, as small values that a picture or a line of text can show."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import Enum

PAYLOAD = frozenset({"text", "sse", "body"})
"""Kinds whose words are the message itself."""
CONTROL = frozenset({"connect", "accept", "request", "status", "end", "ping", "pong"})
"""Kinds that set up, answer or finish."""
TROUBLE = frozenset({"reject", "close", "lost", "error", "invalid"})
"""Kinds that take something away from somebody."""

_LARGE_BYTES = 1024


class End(Enum):
    """How far a frame has come."""

    ARRIVED = "→"
    WAITING = "⇢"
    CUT = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True)
class Frame:
    """One thing that crossed between two actors. `size` is the payload in bytes."""

    source: str
    target: str
    kind: str
    text: str = ""
    size: int = 0
    end: End = End.ARRIVED

    @property
    def label(self) -> str:
        """What stands on the arrow: the payload of a message, or the kind and its detail."""
        words = self.text if self.kind in PAYLOAD else f"{self.kind} {self.text}"
        return visible(words.rstrip())

    @property
    def remark(self) -> str:
        """What is wrong with it, in words: empty for a frame that arrived."""
        if self.end is End.WAITING:
            return "no end yet: the send still waits"
        return "the send failed" if self.end is End.CUT and self.kind not in TROUBLE else ""

    @property
    def weight(self) -> str:
        """The size for people, when it is worth saying: ` · 64 KiB`."""
        if self.size <= _LARGE_BYTES:
            return ""
        kib = self.size / 1024
        return f" · {kib:.0f} KiB" if kib < _LARGE_BYTES else f" · {kib / 1024:.1f} MiB"


@dataclass(slots=True)
class Entry:
    """A frame that is being recorded: only its end still changes. Made on the hot path."""

    source: str
    target: str
    kind: str
    text: str
    size: int
    end: End

    def frame(self) -> Frame:
        """Return what is known now."""
        return Frame(self.source, self.target, self.kind, self.text, self.size, self.end)


GAP = Frame("", "", "gap", "⋮")
"""Stands where frames are left out of a picture."""


def visible(text: str) -> str:
    """Return `text` in one line in which every character can be seen."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _stand_in(c) for c in text)


def _stand_in(character: str) -> str:
    if character == "\n":
        return "⏎"
    return chr(0x2400 + ord(character)) if character < " " else "\N{REPLACEMENT CHARACTER}"


def cells(text: str) -> int:
    """Return how many columns of a monospaced font `text` takes."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def shorten(text: str, columns: int) -> str:
    """Return `text` cut to `columns`, with an ellipsis where something is missing."""
    if cells(text) <= columns:
        return text
    used, kept = 1, []
    for character in text:
        used += cells(character)
        if used > columns:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"
