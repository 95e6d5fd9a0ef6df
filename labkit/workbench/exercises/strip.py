"""The progress strip at the top and the end of a chapter: HTML, and the same as text."""

from __future__ import annotations

import html
from dataclasses import dataclass

from labkit.workbench.exercises.judge import State

_BOX = "display:inline-block;margin:0 4px 4px 0;padding:2px 8px;border:1px solid #767676"
_BOX += ";border-radius:4px"


@dataclass(frozen=True, slots=True)
class Strip:
    """The exercises of one chapter, each with its state; signs carry the meaning, never colour."""

    chapter: int
    rows: tuple[tuple[State, str, str], ...]

    def __repr__(self) -> str:
        signs = "  ".join(f"{state} {key} {title}" for state, key, title in self.rows)
        return f"{self._count()}\n{signs}" if signs else self._count()

    def _repr_html_(self) -> str:
        boxes = "".join(
            f'<span style="{_BOX}" title="{_WORDS[state]}">'
            f"{state} {key} {html.escape(title)}</span>"
            for state, key, title in self.rows
        )
        return f'<div role="group" aria-label="{self._count()}">{boxes}</div>'

    def _count(self) -> str:
        done = sum(state is State.PASSED for state, _, _ in self.rows)
        return f"chapter {self.chapter}: {done} of {len(self.rows)} exercises done"


_WORDS = {State.NOT_DONE: "not done yet", State.REFUSED: "tried", State.PASSED: "done"}
