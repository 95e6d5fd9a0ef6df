"""One trace across the broker: from who says something to every worker that hands it out.

FastAPI traces a request, and a WebSocket as one span from its first byte to its last. What it
cannot see is the broker: a worker that hands an event out knows nothing of who published it. So an
event carries its `traceparent`, 55 characters.

The promises: without a tracer provider nothing is recorded and nothing is sent along; a
`traceparent` that makes no sense starts a trace of its own, and never fails an event; what is said
on a WebSocket is a trace of its own, linked to its connection, whose span may live for hours.

Chapter 12. W3C Trace Context; names and attributes from OpenTelemetry's conventions for messaging.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

KEY = "traceparent"
_tracer = trace.get_tracer("labkit")


@contextmanager
def handling(kind: str) -> Iterator[None]:
    """Trace what a client's message causes.

    Args:
        kind: one of the types that the protocol has, never a client's own word.
    """
    connection = trace.get_current_span().get_span_context()
    links = [Link(connection)] if connection.is_valid else []
    with _tracer.start_as_current_span(
        f"message {kind}", Context(), kind=SpanKind.SERVER, links=links
    ):
        yield


@contextmanager
def publishing(topic: str) -> Iterator[dict[str, str]]:
    """Trace a publication; gives what the event must carry: nothing, if nobody records."""
    with _tracer.start_as_current_span(
        "publish event", kind=SpanKind.PRODUCER, attributes=_about(topic, "send")
    ):
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        yield {KEY: carrier[KEY]} if KEY in carrier else {}


@contextmanager
def handing_out(topic: str, event: bytes) -> Iterator[None]:
    """Trace what a worker does with an event, as a part of the trace that published it.

    Args:
        topic: the event's.
        event: as it was published, and found to make sense.
    """
    if KEY.encode() not in event:
        yield
        return
    carried = json.loads(event).get(KEY)
    came_from = propagate.extract({KEY: carried} if isinstance(carried, str) else {}, Context())
    with _tracer.start_as_current_span(
        "hand out event", came_from, kind=SpanKind.CONSUMER, attributes=_about(topic, "process")
    ):
        yield


def _about(topic: str, operation: str) -> dict[str, str]:
    return {
        "messaging.system": "valkey",
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }
