"""Draw the vital signs of server processes: how long their loop was away, and the CPU they took."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from labkit.workbench.plots import STYLES, Plot, new_figure, png_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.workbench.apart import Sample

TITLE = "Vital signs"


def vital_signs(samples: Mapping[str, Sequence[Sample]], *, verdict: str) -> Plot:
    """Draw two panels over seconds: the loop's absence, and the CPU time used.

    Args:
        samples: What each process reported, by its name.
        verdict: What the picture shows, in words that are the same on every machine.

    Raises:
        ValueError: A process has not reported.
    """
    if not samples or not all(samples.values()):
        silent = [name for name, series in samples.items() if not series]
        raise ValueError(f"nothing was reported by {', '.join(silent) or 'anyone'}")
    figure, (absence, work) = new_figure(rows=2, height=3.6)
    for (name, series), (colour, line, _) in zip(
        samples.items(), itertools.cycle(STYLES), strict=False
    ):
        start = series[0]
        seconds = [each.at_s - start.at_s for each in series]
        style = {"color": colour, "linestyle": line, "label": name}
        absence.plot(seconds, [each.lag_s for each in series], **style)
        work.plot(seconds, [each.cpu_s - start.cpu_s for each in series], **style)
    absence.set_ylabel("loop away, s")
    work.set_ylabel("CPU time, s")
    work.set_xlabel("seconds")
    absence.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return Plot(png_of(figure, TITLE), f"{TITLE}: {verdict}")
