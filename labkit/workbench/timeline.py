"""Draw who lasted how long: a lane for each actor, a line for each thing that happened to all.

What is told is order, never time: what ended before which mark, and how. So the same events
give the same picture on every machine. Nothing is told by colour alone: a clean end is a disc,
a cut is a cross, and the words stand beside it.
"""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass

from labkit.workbench.frames import cells, shorten, visible
from labkit.workbench.sequence import WIDTH

_STYLE = """
svg{--paper:#fcfdfe;--edge:#d5dbe3;--ink:#1d2733;--soft:#5a6675;--good:#00705a;--bad:#b83800}
@media (prefers-color-scheme:dark){svg{--paper:#161b22;--edge:#3a4453;--ink:#e8ecf1;
--soft:#a9b4c2;--good:#56d4b0;--bad:#ff9d73}}
text{font:13px system-ui,"Segoe UI","DejaVu Sans",sans-serif;fill:var(--ink)}
.paper{fill:var(--paper);stroke:var(--edge)} .name{font-weight:600} .mark{fill:var(--soft)}
.rule{stroke:var(--soft);stroke-dasharray:4 4} .good{--tone:var(--good)} .bad{--tone:var(--bad)}
.bar{stroke:var(--tone);stroke-width:5} .disc{fill:var(--tone)}
.cross{stroke:var(--tone);stroke-width:2.5;fill:none} .said{fill:var(--tone);
stroke:var(--paper);stroke-width:5px;stroke-linejoin:round;paint-order:stroke}
""".replace("\n", "")

_LEFT, _RIGHT = 116, 470
_TOP, _ROW = 46, 30
_CHARACTER = 6.8
"""Pixels of one character of the words, at 13 px."""
_STEP_CELLS = 12
"""Columns from one mark to the next in the text."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One actor's life: it ended after so many marks, in these words."""

    actor: str
    after: int
    words: str
    clean: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """The marks, in order, and the lanes, from top to bottom. `str()` gives the same as text."""

    marks: tuple[str, ...]
    lanes: tuple[Lane, ...]

    def __str__(self) -> str:
        """Return a head with the marks, then one line a lane."""
        first = max((cells(lane.actor) for lane in self.lanes), default=0) + 2
        head = " " * (first + _STEP_CELLS // 2)
        head += "".join(f"{visible(mark):<{_STEP_CELLS}}" for mark in self.marks)
        return "\n".join([head.rstrip(), *(_text_line(lane, first) for lane in self.lanes)])

    __repr__ = __str__

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self.html()}

    def html(self) -> str:
        """Return the picture as an image that needs no trust, with its text twin folded below."""
        said = html.escape(str(self))
        alt = html.escape("; ".join(_said(lane, self.marks) for lane in self.lanes))
        data = base64.b64encode(self.svg().encode()).decode()
        return (
            f'<img alt="{alt}" src="data:image/svg+xml;base64,{data}" width="{WIDTH}" '
            'style="max-width:100%;height:auto">'
            f"<details><summary>the same as text</summary><pre>{said}</pre></details>"
        )

    def svg(self) -> str:
        """Return the picture as one SVG document."""
        height = _TOP + _ROW * len(self.lanes) + 12
        step = (_RIGHT - _LEFT) / (len(self.marks) + 1)
        rules = [
            f'<line class="rule" x1="{x}" y1="30" x2="{x}" y2="{height - 8}"/>'
            f'<text class="mark" x="{x}" y="22" text-anchor="middle">{html.escape(mark)}</text>'
            for x, mark in ((_at(n + 0.5, step), mark) for n, mark in enumerate(self.marks))
        ]
        rows = [_row(lane, _TOP + _ROW * n, step) for n, lane in enumerate(self.lanes)]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}"><style>{_STYLE}</style>'
            f'<rect class="paper" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>'
            f"{''.join(rules)}{''.join(rows)}</svg>"
        )


def _at(place: float, step: float) -> float:
    return round(_LEFT + place * step, 1)


def _text_line(lane: Lane, first: int) -> str:
    length = max(1, lane.after * _STEP_CELLS)
    crossing = (n % _STEP_CELLS == _STEP_CELLS // 2 for n in range(length))
    bar = "".join("┿" if crosses else "━" for crosses in crossing)
    return f"{lane.actor:<{first}}{bar}{'●' if lane.clean else '✗'} {visible(lane.words)}"


def _said(lane: Lane, marks: tuple[str, ...]) -> str:
    when = f"after {marks[lane.after - 1]}" if lane.after else "before anything"
    return f"{lane.actor} ends {when}: {lane.words}"


def _row(lane: Lane, y: int, step: float) -> str:
    x, tone = _at(max(lane.after, 0.25), step), "good" if lane.clean else "bad"
    words = shorten(visible(lane.words), int((WIDTH - 16 - x - 14) / _CHARACTER))
    tip = (
        f'<circle class="disc" cx="{x}" cy="{y}" r="6.5"/>'
        if lane.clean
        else f'<path class="cross" d="M{x - 6} {y - 6}l12 12m0 -12l-12 12"/>'
    )
    return (
        f'<text class="name" x="16" y="{y + 5}">{html.escape(shorten(lane.actor, 14))}</text>'
        f'<g class="{tone}"><line class="bar" x1="{_LEFT}" y1="{y}" x2="{x}" y2="{y}"/>{tip}'
        f'<text class="said" x="{x + 14}" y="{y + 5}">{html.escape(words)}</text></g>'
    )
