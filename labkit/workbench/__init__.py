"""The workbench: what a lesson needs and production does not.

    lab        servers in the notebook's kernel, and the proof that nothing is left
    wire       what really crossed between clients and server, as a picture
    scenes     what several clients saw, in one line; probes: what one saw, as a table
    exercises  check, hint, solution, progress
    ledger     verdicts that are compared with what the cell found
    notebooks  build, check, solve
    cli        the command line

The names below load when they are first used, so that a command need not wait for all of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "Lab",
    "answer",
    "answers",
    "browser",
    "check",
    "dial",
    "expect",
    "fact",
    "flood",
    "hint",
    "knock",
    "mount_page",
    "overview",
    "progress",
    "recap",
    "received",
    "sequence_of",
    "sh",
    "show",
    "solution",
    "table",
    "until",
    "verdict",
]

_HOMES = {
    "display": ("expect", "table"),
    "exercises": ("answer", "check", "hint", "progress", "solution"),
    "kernel": ("sh",),
    "lab": ("Lab",),
    "ledger": ("answers", "fact", "overview", "recap", "verdict"),
    "page": ("browser", "mount_page"),
    "rawwire": ("sequence_of",),
    "probes": ("dial", "knock"),
    "scenes": ("flood", "received"),
    "sources": ("show",),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module offers
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    if name == "until":  # of the room that every test may use
        return import_module("labkit.testing.waiting").until
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
