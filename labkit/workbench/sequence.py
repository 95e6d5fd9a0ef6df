"""Draw messages between actors as a sequence diagram, and say the same in text.

A picture is drawn from a list of frames and nothing else: the same frames give the same
bytes. It holds no time, no port and no address. The SVG travels inside an `<img>`, because
that is the one form of a drawn output that JupyterLab also shows in a notebook that it does
not trust yet.

What the forms mean (none of them is told by colour alone):

- clients stand on the left, servers on the right
- a filled head runs to a server, an open head runs to a client
- dashes that end in a question mark: the send still waits
- a line that ends in a cross: it failed, or the connection was lost
"""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.workbench.frames import (
    CONTROL,
    GAP,
    PAYLOAD,
    TROUBLE,
    End,
    Frame,
    cells,
    shorten,
    visible,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH = 700
"""Width of every picture in pixels: what fits beside JupyterLab's file browser."""

_MARGIN = 74
_HEAD = 44
_ROW = 32
_CAPTION = 17
_CHARACTER = 7.6
"""Pixels of one monospaced character at 12.5 px, measured with the widest common font."""
_SPILL = 26
"""Columns that a label may take although its arrow is shorter."""
_TEXT_CELLS = 88


_STYLE = """
svg{--paper:#fcfdfe;--edge:#d5dbe3;--ink:#1d2733;--soft:#5a6675;--up:#0b5fa5;--down:#00705a;
--bad:#b83800;--wash:#fcf0ea}
@media (prefers-color-scheme:dark){svg{--paper:#161b22;--edge:#3a4453;--ink:#e8ecf1;
--soft:#a9b4c2;--up:#79b8ff;--down:#56d4b0;--bad:#ff9d73;--wash:#2d2524}}
text{font:12.5px ui-monospace,"Cascadia Mono",Menlo,"DejaVu Sans Mono",monospace;fill:var(--ink);
stroke:var(--paper);stroke-width:4px;stroke-linejoin:round;paint-order:stroke;white-space:pre}
text.name{font:600 13px system-ui,"Segoe UI","DejaVu Sans",sans-serif;stroke:none}
text.word{font-family:system-ui,"Segoe UI","DejaVu Sans",sans-serif}
text.said{font:italic 12px system-ui,"Segoe UI","DejaVu Sans",sans-serif;fill:var(--bad)}
.paper{fill:var(--paper);stroke:var(--edge)} .life{stroke:var(--edge);stroke-width:1.5}
.client{fill:var(--paper);stroke:var(--soft)} .server{fill:var(--ink)}
text.on{fill:var(--paper)} .wash{fill:var(--wash)} .washed{--paper:var(--wash)}
.gap{stroke:var(--paper);stroke-width:7} .line{fill:none;stroke-width:1.7}
.up{--tone:var(--up)} .down{--tone:var(--down)} .plain{--tone:var(--soft)} .bad{--tone:var(--bad)}
.line{stroke:var(--tone)} .fill{fill:var(--tone)} .ask{fill:var(--paper);stroke:var(--tone)}
text.plain,text.bad{fill:var(--tone)} text.mark{font-weight:700;stroke:none}
""".replace("\n", "")


def _full_label(frame: Frame, columns: int) -> str:
    return shorten(frame.label, columns - len(frame.weight)) + frame.weight


@dataclass(frozen=True, slots=True)
class Diagram:
    """A sequence diagram that a notebook can show: `.svg()`, and `str()` for the same in text."""

    frames: tuple[Frame, ...]
    actors: tuple[str, ...]
    servers: frozenset[str] = frozenset({"server"})

    def __str__(self) -> str:
        """Return one line a frame: who to whom, what kind, which words."""
        drawn = [frame for frame in self.frames if frame is not GAP]
        if not drawn:
            return "nothing crossed the wire"
        source = max(cells(frame.source) for frame in drawn)
        target = max(cells(frame.target) for frame in drawn)
        return "\n".join(_text_line(frame, source, target) for frame in self.frames)

    __repr__ = __str__

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self.html()}

    def html(self) -> str:
        """Return the picture as an image that needs no trust, with its text twin folded below."""
        said = html.escape(str(self))
        alt = said.replace("\n", "; ")
        data = base64.b64encode(self.svg().encode()).decode()
        return (
            f'<img alt="{alt}" src="data:image/svg+xml;base64,{data}" width="{WIDTH}" '
            'style="max-width:100%;height:auto">'
            f"<details><summary>the same as text</summary><pre>{said}</pre></details>"
        )

    def svg(self) -> str:
        """Return the picture as one SVG document."""
        columns = _columns(self.actors)
        washes, rows, bottom = [], [], _HEAD
        for frame in self.frames:
            washes.append(_wash(frame, bottom))
            rows.append(_row(frame, columns, self.servers, bottom))
            bottom += _height(frame)
        height = bottom + 18
        heads = [_head(name, x, name in self.servers, bottom + 6) for name, x in columns.items()]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}"><style>{_STYLE}</style>'
            f'<rect class="paper" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>'
            f"{''.join(washes)}{''.join(heads)}{''.join(rows)}</svg>"
        )


def _text_line(frame: Frame, source: int, target: int) -> str:
    if frame is GAP:
        return frame.text
    names = f"{frame.source:<{source}} {frame.end.value} {frame.target:<{target}}"
    words = frame.label if frame.kind in PAYLOAD else visible(frame.text)
    said = f"  ({frame.remark})" if frame.remark else ""
    line = f"{names}  {frame.kind:<7} {shorten(words, _TEXT_CELLS)}{frame.weight}"
    return line.rstrip() + said


def _columns(actors: Sequence[str]) -> dict[str, float]:
    step = (WIDTH - 2 * _MARGIN) / max(1, len(actors) - 1)
    return {name: round(_MARGIN + place * step, 1) for place, name in enumerate(actors)}


def _head(name: str, x: float, is_server: bool, bottom: float) -> str:
    shown = html.escape(shorten(visible(name), 16))
    half = max(34.0, cells(shown) * 4.2 + 12)
    kind, text = ("server", "name on") if is_server else ("client", "name")
    return (
        f'<line class="life" x1="{x}" y1="36" x2="{x}" y2="{bottom}"/>'
        f'<rect class="{kind}" x="{x - half:.1f}" y="12" width="{2 * half:.1f}" height="25" '
        f'rx="{4 if is_server else 12.5}"/>'
        f'<text class="{text}" x="{x}" y="29" text-anchor="middle">{shown}</text>'
    )


def _height(frame: Frame) -> int:
    return _ROW + (8 if frame.end is not End.ARRIVED else 0) + (_CAPTION if frame.remark else 0)


def _wash(frame: Frame, top: float) -> str:
    if frame.end is End.ARRIVED:
        return ""
    tall = _height(frame) - 3
    return f'<rect class="wash" x="1" y="{top + 5}" width="{WIDTH - 2}" height="{tall}"/>'


def _row(frame: Frame, columns: Mapping[str, float], servers: frozenset[str], top: float) -> str:
    if frame is GAP:
        return f'<text class="plain" x="{WIDTH / 2}" y="{top + 24}" text-anchor="middle">⋮</text>'
    start, goal = columns[frame.source], columns[frame.target]
    y = top + (25 if frame.end is End.ARRIVED else 29)
    to_server = frame.target in servers
    tone = _tone(frame, to_server)
    sign = 1 if goal > start else -1
    short = 3 if frame.end is End.ARRIVED else min(36, 0.3 * abs(goal - start))
    stop = goal - sign * short
    dashes = ' stroke-dasharray="7 5"' if frame.end is End.WAITING else ""
    ground = ' class="washed"' if frame.end is not End.ARRIVED else ""
    return (
        f'<g{ground}><line class="gap" x1="{start + sign * 5}" y1="{y}" x2="{stop:.1f}" y2="{y}"/>'
        f'<g class="{tone}">'
        f'<line class="line" x1="{start}" y1="{y}" x2="{stop:.1f}" y2="{y}"{dashes}/>'
        f'<circle class="fill" cx="{start}" cy="{y}" r="3"/>'
        f"{_tip(frame, stop, y, sign, filled=to_server)}</g>"
        f"{_words(frame, start, goal, y, tone)}</g>"
    )


def _tone(frame: Frame, to_server: bool) -> str:
    kind = frame.kind.lower()
    friendly = kind == "close" and frame.text.startswith(("1000", "1001"))
    if frame.end is not End.ARRIVED or (kind in TROUBLE and not friendly):
        return "bad"
    if kind in CONTROL or friendly:
        return "plain"
    return "up" if to_server else "down"


def _tip(frame: Frame, x: float, y: float, sign: int, *, filled: bool) -> str:
    if frame.end is End.WAITING:
        middle = x + sign * 9
        return (
            f'<circle class="ask" cx="{middle:.1f}" cy="{y}" r="8.5"/>'
            f'<text class="bad mark" x="{middle:.1f}" y="{y + 4.5}" text-anchor="middle">?</text>'
        )
    if frame.end is End.CUT:
        return f'<path class="line" d="M{x - 5:.1f} {y - 5}l10 10m0 -10l-10 10"/>'
    back, shape = x - sign * 9, "fill" if filled else "line"
    return f'<path class="{shape}" d="M{back:.1f} {y - 4.5}L{x:.1f} {y}L{back:.1f} {y + 4.5}"/>'


def _words(frame: Frame, start: float, goal: float, y: float, tone: str) -> str:
    left, right = min(start, goal), max(start, goal) - 9
    span = int((right - left - 14) / _CHARACTER)
    label = _full_label(frame, max(span, min(_SPILL, int((right - 8) / _CHARACTER))))
    x, anchor = (right, "end")
    if start < goal and cells(label) <= span:
        x, anchor = start + 9, "start"
    kind = f"word {tone}" if frame.kind in CONTROL | TROUBLE else tone
    above = 11 if frame.end is End.WAITING else 6
    place = f'x="{x:.1f}" text-anchor="{anchor}"'
    text = f'<text class="{kind}" y="{y - above}" {place}>{html.escape(label)}</text>'
    if frame.remark:
        text += f'<text class="said" y="{y + 18}" {place}>{frame.remark}</text>'
    return text
