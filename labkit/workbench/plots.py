"""Plots for what a table cannot show, each with a summary in words.

Words are what a test compares and a screen reader says; the picture is for the eye. The verdicts
come from the caller, because measured figures differ on every machine.

matplotlib is imported when the first plot is drawn, because that takes most of a second.
"""

from __future__ import annotations

import base64
import io
import itertools
import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BLUE, _VERMILION, _GREEN, _PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
STYLES = ((_BLUE, "-", "o"), (_VERMILION, "--", "s"), (_GREEN, "-.", "D"), (_PINK, ":", "^"))
"""Colours of Okabe and Ito with a line and a marker each: told apart without seeing colour."""

_WIDTH_INCHES = 6.4
_DPI = 110
_FLOOR_MS = 0.001
"""A clock can say zero, a logarithm cannot."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn plot and the words that go with it. `str()` gives the words."""

    png: bytes
    words: str

    def __str__(self) -> str:
        return self.words

    __repr__ = __str__

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": self.words, "image/png": base64.b64encode(self.png).decode()}

    def _ipython_display_(self) -> None:
        # The picture hides its text twin, so the words are printed as well.
        from IPython.display import display  # noqa: PLC0415 - only what displays needs IPython

        display(self._repr_mimebundle_(), raw=True)  # type: ignore[no-untyped-call]
        print(self.words)


def latency_histogram(
    samples_ms: Mapping[str, Sequence[float]], *, verdict: str, title: str = "Latency"
) -> Plot:
    """Draw how long messages took: a histogram for each name, on one logarithmic axis.

    Args:
        samples_ms: Milliseconds of each message, by the name of what was measured.
        verdict: What the picture shows, in words that are the same on every machine.
        title: What stands above.

    Raises:
        ValueError: A series is empty.
    """
    if not samples_ms or not all(samples_ms.values()):
        empty = [name for name, series in samples_ms.items() if not series]
        raise ValueError(f"nothing was measured for {', '.join(empty) or 'anyone'}")
    series = {name: [max(ms, _FLOOR_MS) for ms in values] for name, values in samples_ms.items()}
    low, high = min(map(min, series.values())) / 1.5, max(map(max, series.values())) * 1.5
    bins = [low * (high / low) ** (step / 40) for step in range(41)]
    figure, axes = new_figure(rows=len(series), height=1.35 * len(series) + 0.7)
    for axis, (name, values), (colour, _, _) in zip(
        axes, series.items(), itertools.cycle(STYLES), strict=False
    ):
        median = sorted(values)[len(values) // 2]
        axis.hist(values, bins=bins, color=colour)
        axis.axvline(median, color="black", linestyle="--", linewidth=1.2)
        axis.set_title(f"{name} · median {median:.3g} ms", loc="left", fontsize=10)
        axis.set_ylabel("messages")
    axes[-1].set_xscale("log")
    axes[-1].xaxis.set_major_formatter("{x:g}")
    axes[-1].set_xlabel("milliseconds from send to receive, logarithmic")
    return Plot(png_of(figure, title), f"{title}: {verdict}")


def timeline(
    series: Mapping[str, Sequence[float]],
    *,
    verdict: str,
    title: str = "Messages over time",
    marks: Mapping[str, float] | None = None,
) -> Plot:
    """Draw when messages, or heartbeats, reached each client: a rising count over seconds.

    Args:
        series: Seconds from the start at which each one arrived, by client.
        verdict: What the picture shows, in words that are the same on every machine.
        title: What stands above.
        marks: Seconds of events that matter to all, by name: a vertical line each.
    """
    marks = marks or {}
    end_s = max([0.0, *marks.values(), *itertools.chain.from_iterable(series.values())])
    figure, (axis,) = new_figure(height=3.0)
    for (name, moments), (colour, line, marker) in zip(
        series.items(), itertools.cycle(STYLES), strict=False
    ):
        seconds = [0.0, *sorted(moments), end_s]
        counts = [*range(len(moments) + 1), len(moments)]
        last = [len(moments)]
        style = {"color": colour, "linestyle": line, "marker": marker, "markevery": last}
        axis.step(seconds, counts, where="post", label=name, **style)
    for name, second in marks.items():
        axis.axvline(second, color="black", linewidth=1, linestyle=":")
        place = ("data", "axes fraction")
        axis.annotate(f" {name}", (second, 0.94), xycoords=place, fontsize=9)
    axis.set_xlabel("seconds")
    axis.set_ylabel("received so far")
    if series:
        axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return Plot(png_of(figure, title), f"{title}: {verdict}")


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    verdict: str,
    title: str,
    x: str,
    y: str,
    log: bool = False,
) -> Plot:
    """Draw one line for each name.

    Args:
        series: Points (x, y), in rising x, by name.
        verdict: What the picture shows, in words that are the same on every machine.
        title: What stands above.
        x: What lies along the bottom, with its unit.
        y: What rises, with its unit.
        log: Whether both axes are logarithmic.
    """
    figure, (axis,) = new_figure(height=3.0)
    for (name, points), (colour, line, marker) in zip(
        series.items(), itertools.cycle(STYLES), strict=False
    ):
        style = {"color": colour, "linestyle": line, "marker": marker, "markevery": [-1]}
        axis.plot([at for at, _ in points], [value for _, value in points], label=name, **style)
    if log:
        axis.set_xscale("log")
        axis.set_yscale("log")
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return Plot(png_of(figure, title), f"{title}: {verdict}")


def new_figure(*, rows: int = 1, height: float) -> tuple[Any, list[Any]]:
    """Make a figure of one width, with its axes from top to bottom; `height` is in inches."""
    # The first import on a machine logs that it builds a font cache: not an output of the cell.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    # `Figure` without pyplot: no backend, no list of open figures, nothing to close.
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(_WIDTH_INCHES, height), dpi=_DPI, layout="constrained")
    axes = list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="both", alpha=0.25)
        axis.set_axisbelow(True)
    return figure, axes


def png_of(figure: Any, title: str) -> bytes:  # noqa: ANN401 - matplotlib is imported late
    """Draw the figure, with its title, as the bytes of a PNG."""
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    image = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name in a script without a font
        figure.savefig(image, format="png")
    return image.getvalue()
