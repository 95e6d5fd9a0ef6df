"""What a lesson's code logs, for the lesson to show; nothing of it is printed."""

from __future__ import annotations

import logging
from collections import deque
from typing import Self

MAX_RECORDS = 1000


class LogBook(logging.Handler):
    """Keeps warnings and errors of this process, as one line each, while it is open.

    Without a handler, Python prints them to stderr, into whichever cell is running.

    Args:
        level: the lowest level that is kept.
        max_records: how many are kept, the newest; None keeps all.
    """

    def __init__(
        self, level: int = logging.WARNING, *, max_records: int | None = MAX_RECORDS
    ) -> None:
        super().__init__(level=level)
        self._lines: deque[str] = deque(maxlen=max_records)

    @property
    def lines(self) -> list[str]:
        """What was logged since `clear`, such as `ERROR charge failed (KeyError: 'card')`."""
        return list(self._lines)

    def clear(self) -> None:
        """Forget what was logged."""
        self._lines.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record down."""
        error = record.exc_info[1] if record.exc_info else None
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        cause = f" ({type(error).__name__}: {error})" if error else ""
        self._lines.append(f"{record.levelname} {record.getMessage()}{cause}")

    def open(self) -> Self:
        """Begin to listen to the root logger."""
        logging.getLogger().addHandler(self)
        return self

    def close(self) -> None:
        """Stop listening; what was logged stays readable."""
        logging.getLogger().removeHandler(self)
        super().close()
