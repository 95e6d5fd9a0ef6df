"""One line of JSON for each thing that happened, with the connection it happened to.

The promises:
    - Everything a process logs goes one way, uvicorn's lines and the rooms' included, and comes
      out as JSON: what a client sends stays inside a string, and cannot begin a line of its own.
    - A line that is written on behalf of a connection has its `connection_id`, which the server
      made, in business code as well: it is bound to the task, not passed along.
    - Each connection has exactly one `closed` line, whatever ends it: code, reason, by whom,
      how long, how many messages. Our faults are errors with a traceback; clients' are not.
    - Query strings and what is named like a secret are cut, in other people's lines too.

A task that publishes works for the *sender*: log about a receiver under a key of its own,
`receiver=connection.id`. Log for each connection, never for each delivery: a line costs as much
as the send.

Chapter 10. The pipeline is structlog's, on top of `logging`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocketDisconnect
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.typing import Processor

from labkit.architecture.codes import CloseCode
from labkit.monitoring.visit import Visit

CUT = "[cut]"
SECRET_KEYS = frozenset(
    {"authorization", "cookie", "api_key", "password", "secret", "ticket", "token"}
    | {"access_token", "refresh_token", "id_token"}
)
_QUERY = re.compile(r"\?[^\s\"'?#]*=[^\s\"']*")
_CREDENTIALS = re.compile(r"\b[Bb]earer\s+[^\s\"',]+|\beyJ[\w-]{8,}\.[\w-]*\.[\w-]*")


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Any:  # noqa: ANN401 - structlog's signature
    """Cut what must not be in a log: a structlog processor, the last before the renderer."""
    for key, value in event.items():
        event[key] = CUT if key.lower() in SECRET_KEYS else _clean(value)
    return event


def _clean(value: object) -> object:
    if isinstance(value, str):
        return _CREDENTIALS.sub(CUT, _QUERY.sub(f"?{CUT}", value))
    if isinstance(value, dict):
        return redact(None, "", {str(key): each for key, each in value.items()})
    if isinstance(value, list | tuple):
        return [_clean(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it
    return value


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
_OURS: tuple[Processor, ...] = (
    structlog.stdlib.filter_by_level,
    *_SHARED,
    ProcessorFormatter.wrap_for_formatter,
)


def get_logger(name: str) -> BoundLogger:
    """Return a structlog logger on top of `logging`, which prints nothing by itself."""
    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger(name), processors=_OURS, wrapper_class=BoundLogger
    )
    return logger


log = get_logger(__name__)


@contextmanager
def json_logs(stream: TextIO | None = None, *, level: int = logging.INFO) -> Iterator[None]:
    """Write every log line of this process as JSON, as long as the `with` block lasts.

    Enter it once, before uvicorn, and give uvicorn `log_config=None`, or it puts its own
    handlers beside this one.

    Args:
        stream: where to; stderr by default.
        level: the lowest that is written.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root, before = logging.getLogger(), structlog.get_config()
    level_before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    structlog.configure(
        processors=list(_OURS),
        wrapper_class=BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # or a logger outlives this block
    )
    try:
        yield
    finally:
        structlog.configure(**before)
        root.removeHandler(handler)
        root.setLevel(level_before)


@contextmanager
def told(
    connection: HTTPConnection,
    visit: Visit | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Visit]:
    """Tell one connection's story: an `opened` line, everything in between, one `closed` line.

    Args:
        connection: a WebSocket or the request of a stream. Behind a Unix socket it has no
            client; its path is logged, its query string never.
        visit: the one that is counted; without it, a new one.
        clock: monotonic seconds.
    """
    visit = visit or Visit()
    client = connection.client.host if connection.client else None
    began_s, error = clock(), None
    with structlog.contextvars.bound_contextvars(connection_id=visit.id):
        log.info("opened", client=client, path=connection.url.path)
        try:
            yield visit
        except BaseException as raised:
            error = raised
            raise
        finally:
            _tell_end(visit, error, clock() - began_s)


def _tell_end(visit: Visit, error: BaseException | None, lasted_s: float) -> None:
    ending = visit.ended(error)
    ours = ending.code == CloseCode.INTERNAL_ERROR and ending.by == "server"
    harmless = error is None or isinstance(error, asyncio.CancelledError | WebSocketDisconnect)
    log.log(
        logging.INFO if harmless and not ours else logging.ERROR,
        "closed",
        code=int(ending.code),
        reason=ending.reason,
        by=ending.by,
        duration_s=round(lasted_s, 3),
        received=visit.received,
        received_bytes=visit.received_bytes,
        sent=visit.sent,
        exc_info=None if harmless else error,
    )
