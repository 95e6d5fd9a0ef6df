"""Field types for what strangers write.

Room 1 parses once, knows every type by name and refuses fields it does not know. What is left
is what *may* be in a field: a text without tricks, a JSON value that is neither deep nor wide
and whose numbers every reader of JSON understands.

Use them in a `ClientMessage`; what breaks their rule is a `BadMessage` like any other.

Chapter 8. Pure.
"""

from __future__ import annotations

import math
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue

MAX_SAFE_INTEGER = 2**53 - 1
"""Beyond it, a browser's numbers are no longer exact (RFC 8259 §6)."""

_LINE_BREAKS = frozenset("\n\t")
_UNSEEN = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories: control, surrogate, private, unassigned, line and paragraph separator."""
_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the direction of what follows, so that a text reads as another (CVE-2021-42574)."""


def bounded_text(*, max_chars: int, lines: bool = False) -> Any:  # noqa: ANN401 - an Annotated type
    """Make the type of a text for people: 1 to `max_chars` characters, all of them visible.

    Args:
        max_chars: Unicode characters, not bytes.
        lines: also allow line breaks and tabs.

    Raises:
        ValueError: `max_chars` is less than one.
    """
    if max_chars < 1:
        raise ValueError(f"max_chars is {max_chars}: allow 1 or more")
    allowed = _LINE_BREAKS if lines else frozenset()

    def visible(text: str) -> str:
        for char in text:
            if char in _DIRECTION or (
                unicodedata.category(char) in _UNSEEN and char not in allowed
            ):
                raise ValueError("a character that cannot be seen")
        return text

    return Annotated[str, Field(min_length=1, max_length=max_chars), AfterValidator(visible)]


def bounded_json(*, max_depth: int = 8, max_items: int = 100, max_chars: int = 2000) -> Any:  # noqa: ANN401 - an Annotated type
    """Make the type of a JSON object whose form is the application's own affair.

    Args:
        max_depth: of objects and lists inside each other, the outermost included.
        max_items: members of objects and lists, all levels together.
        max_chars: of each text and each key.
    """

    def bounded(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        items = 0
        waiting: list[tuple[JsonValue, int]] = [(value, 1)]
        while waiting:  # no recursion: depth is the sender's choice
            each, depth = waiting.pop()
            if isinstance(each, dict | list):
                items += len(each)
                if depth > max_depth or items > max_items:
                    raise ValueError("too deep or too wide")
                children = each.values() if isinstance(each, dict) else each
                waiting += [(child, depth + 1) for child in children]
                waiting += [(key, depth) for key in each] if isinstance(each, dict) else []
            elif not _portable(each, max_chars):
                raise ValueError("a text or a number that is too large")
        return value

    return Annotated[dict[str, JsonValue], AfterValidator(bounded)]


def _portable(value: object, max_chars: int) -> bool:
    """Say whether every reader of JSON understands a text, a number, true, false or null."""
    if isinstance(value, str):
        return len(value) <= max_chars
    if isinstance(value, float):
        return math.isfinite(value)  # 1e999 is legal JSON, and infinity in Python
    return value is None or abs(int(value)) <= MAX_SAFE_INTEGER  # type: ignore[call-overload]


Text = bounded_text(max_chars=2000, lines=True)
"""A chat message: 1 to 2,000 visible characters, in lines."""
Payload = bounded_json()
"""A JSON object: at most 8 deep, 100 members, texts of 2,000 characters, numbers that travel."""
