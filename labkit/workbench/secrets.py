"""Does a secret stand anywhere it should not: in a log, in an output, in a file?

Searching needs two things that are easily forgotten: *every* record, also those below the level
that is shown, with the text of its traceback; and every form in which a secret can be written.
"""

from __future__ import annotations

import base64
import logging
import re
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from labkit.workbench.logbook import LogBook
from labkit.workbench.notebooks import cells

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from nbformat import NotebookNode

    from labkit.testing.logs import Log

MIN_CHARS = 8
PIECE_CHARS = 24
JWT = re.compile(r"eyJ[\w-]{8,}\.[\w-]*\.[\w-]*")


class Recorder(LogBook):
    """A logbook for searching: all that every logger of this process says while it is open.

    A server's own loggers are apart: see `lines_of` for its `log`. A line is a whole record, such
    as `INFO labkit.auth.gate refused: expired`, with its traceback.

    Args:
        level: the lowest level that is let through, as a service would set it.
    """

    def __init__(self, level: int = logging.INFO) -> None:
        super().__init__(level, max_records=None)
        self._before: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record down, with its traceback."""
        self._lines.append(f"{record.levelname} {record.name} {self.format(record)}")

    def open(self) -> Self:
        """Begin to listen, at the level of a service."""
        root = logging.getLogger()
        self._before = root.level
        root.setLevel(self.level)
        return super().open()

    def close(self) -> None:
        """Stop listening; what was recorded stays readable. Idempotent."""
        if self._before is not None:
            logging.getLogger().setLevel(self._before)
            self._before = None
        super().close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def lines_of(log: Log) -> list[str]:
    """Return a server's log as texts, tracebacks included."""
    return [f"{record.name} {record.getMessage()} {record.exc_text or ''}" for record in log]


def forms_of(secret: str) -> set[str]:
    """Return the texts that give a secret away: itself, encoded, or a large piece of it.

    Raises:
        ValueError: it is so short that it would be found everywhere.
    """
    if len(secret) < MIN_CHARS:
        raise ValueError(f"secret has {len(secret)} characters: search for {MIN_CHARS} or more")
    pieces = {secret[:PIECE_CHARS], secret[-PIECE_CHARS:]} if "." not in secret else set()
    parts = {part for part in secret.split(".") if len(part) > PIECE_CHARS}
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]
    return {secret, quote(secret, safe=""), encoded} | pieces | parts


def found_in(places: Mapping[str, Iterable[str]], secrets: Collection[str]) -> dict[str, int]:
    """Count, for each place, the lines in which one of the secrets stands in any form."""
    forms = {form for secret in secrets for form in forms_of(secret)}
    return {
        place: sum(any(form in line for form in forms) for line in lines)
        for place, lines in places.items()
    }


def tokens_in(notebook: NotebookNode) -> list[str]:
    """Return the ids of the cells whose stored outputs hold what looks like a token."""
    return [
        cell.id
        for cell in cells.code_cells(notebook)
        if any(JWT.search(str(output)) for output in cell.outputs)
    ]
