"""Keep what a server logs beside the server instead of on somebody's stderr.

uvicorn logs through process-wide loggers. Several servers share them, and a notebook cell or a test
must not show the records of a server it did not ask. Each record is filed under the server in whose
context it was made; a record made in no server's context goes to every server that is running.
"""

from __future__ import annotations

import logging
from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias

Log: TypeAlias = deque[logging.LogRecord]

LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "sse_starlette")
MAX_RECORDS = 1000

current_log: ContextVar[Log] = ContextVar("current_log")


def new_log() -> Log:
    """Return an empty log that keeps the last `MAX_RECORDS` records."""
    return deque(maxlen=MAX_RECORDS)


@dataclass(frozen=True, slots=True)
class _Settings:
    """What a logger was before the first capture."""

    handlers: list[logging.Handler]
    propagate: bool
    level: int
    disabled: bool


class LogCapture(logging.Handler):
    """Handler that owns the server loggers while at least one server runs."""

    def __init__(self) -> None:
        super().__init__(level=logging.INFO)
        self._logs: list[Log] = []
        self._before: dict[str, _Settings] = {}

    def attach(self, log: Log) -> None:
        """Start filing records under `log`; the first one in takes the loggers over."""
        if not self._logs:
            self._take_over()
        self._logs.append(log)

    def detach(self, log: Log) -> None:
        """Stop filing records under `log`; the last one out puts the loggers back."""
        self._logs = [other for other in self._logs if other is not log]
        if not self._logs:
            self._give_back()

    def emit(self, record: logging.LogRecord) -> None:
        """File a record under the server that made it."""
        if record.exc_info:  # text, because a kept traceback keeps sockets and tasks alive
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        mine = current_log.get(None)
        for log in self._logs if mine is None else [mine]:
            log.append(record)

    def _take_over(self) -> None:
        for name in LOGGERS:
            logger = logging.getLogger(name)
            self._before[name] = _Settings(
                logger.handlers, logger.propagate, logger.level, logger.disabled
            )
            logger.handlers, logger.propagate = [self], False
            logger.disabled = False
            logger.setLevel(logging.INFO)

    def _give_back(self) -> None:
        while self._before:
            name, before = self._before.popitem()
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = before.handlers, before.propagate
            logger.disabled = before.disabled
            logger.setLevel(before.level)


capture = LogCapture()
