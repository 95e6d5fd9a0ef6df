"""What notebooks display: tables, pictures that follow a change, failures that are expected.

Nothing here changes from run to run. Where displays are static (`LABKIT_CI=1`), a live picture
is displayed once, in its final state, because a test compares what is stored in the notebook.
"""

from __future__ import annotations

import asyncio
import html
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_REFRESH_S = 0.1


def is_static() -> bool:
    """Whether displays show their final state only: `LABKIT_CI=1`, as in tests and builds."""
    return os.environ.get("LABKIT_CI") == "1"


class Picture(Protocol):
    """What can be displayed in several forms: an image and its text twin."""

    def _repr_mimebundle_(self) -> dict[str, str]: ...


class Live:
    """One display that follows a changing thing, redrawn at most ten times a second.

    Args:
        picture: Makes what is displayed.
        static: Whether to display it once, at the end.
    """

    def __init__(self, picture: Callable[[], Picture], *, static: bool) -> None:
        self._picture = picture
        self._static = static
        self._handle: Any = None
        self._redraw: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Redraw soon. Cheap; call it on the event loop, at every change."""
        if self._handle is not None and self._redraw is None:
            self._redraw = asyncio.get_running_loop().call_later(_REFRESH_S, self._draw)

    def __enter__(self) -> Self:
        if not self._static:
            self._handle = self._display(display_id=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._redraw is not None:
            self._redraw.cancel()
        if self._static:
            self._display()
        else:
            self._draw()
        self._handle = None

    def _draw(self) -> None:
        self._redraw = None
        if self._handle is not None:
            self._handle.update(self._picture()._repr_mimebundle_(), raw=True)

    def _display(self, **options: object) -> Any:  # noqa: ANN401 - IPython has no types
        # IPython takes a third of a second to import, and only a display needs it.
        from IPython.display import display  # noqa: PLC0415

        bundle = self._picture()._repr_mimebundle_()
        return display(bundle, raw=True, **options)  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headers, aligned in text and as an HTML table."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        grid = [self.headers, *self.rows]
        widths = [max(len(row[column]) for row in grid) for column in range(len(self.headers))]
        rule = tuple("─" * width for width in widths)
        return "\n".join(_aligned(row, widths) for row in (self.headers, rule, *self.rows))

    __repr__ = __str__

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self.html()}

    def html(self) -> str:
        """Return the table as HTML, with its headers marked as such."""
        left = ' style="text-align:left"'
        head = "".join(f'<th scope="col"{left}>{html.escape(name)}</th>' for name in self.headers)
        body = "".join(
            "<tr>" + "".join(f"<td{left}>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        # Jupyter would set as mathematics what stands between two dollars.
        plain = ' class="mathjax_ignore tex2jax_ignore"' if "$" in body else ""
        return f"<table{plain}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class Tabled:
    """Is shown as its `table`, in a cell and as text. A dataclass needs `repr=False`."""

    __slots__ = ()

    @property
    def table(self) -> Table:
        """The table."""
        raise NotImplementedError

    def __str__(self) -> str:
        return str(self.table)

    __repr__ = __str__

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self.table._repr_mimebundle_()


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()


def table(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> Table:
    """Make a table whose cells are shown with `str`.

    Raises:
        ValueError: A row has more or fewer cells than there are headers.
    """
    for number, row in enumerate(rows, start=1):
        if len(row) != len(headers):
            raise ValueError(f"row {number} has {len(row)} cells, the table {len(headers)} headers")
    return Table(tuple(headers), tuple(tuple(str(cell) for cell in row) for row in rows))


@contextmanager
def expect(*kinds: type[BaseException]) -> Iterator[None]:
    """Let the body fail as the lesson says: print the failure, and fail when there is none.

    Prints `expected: ValueError: the first line of its message`.

    Raises:
        AssertionError: The body raised nothing.
    """
    try:
        yield
    except kinds as error:
        first_line = str(error).partition("\n")[0]
        print(f"expected: {type(error).__name__}{': ' if first_line else ''}{first_line}")
    else:
        names = " or ".join(kind.__name__ for kind in kinds)
        raise AssertionError(f"expected {names}, and nothing was raised")
