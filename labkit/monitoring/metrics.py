"""What a process counts: who is here, who came and how they left, what was said.

    name, all beginning with `realtime_`     rising means
    connections_active{transport}            more places taken; compare with the limit
    connections_accepted_total{transport}    faster than `active` rises: clients come and go
    connections_refused_total{reason}        full, forbidden, or under attack, by reason
    connections_closed_total{…, ending, by}  `no_code`: networks; `slow`: readers; `fault`: us
    connection_duration_seconds{transport}   falling: something between us cuts connections
    messages_total{direction, type}          `other`: types that we did not list
    message_bytes_total{direction}           what the network card carries, before framing

The promises: the gauge goes up and down in one place, around the session, so whatever ends it,
also a cancellation, settles it; no label is a client's word, so the number of series is known
before the first client comes; a broadcast is counted once, by how many it goes to.

Chapter 10. The names follow Prometheus' practice: base units, `_total` for counters alone.
`GET /metrics` is in `scrape`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from labkit.architecture.codes import CloseCode
from labkit.architecture.manager import Ending
from labkit.architecture.messages import Outgoing
from labkit.monitoring.visit import Visit

Transport = Literal["websocket", "sse"]
Publish = Callable[[str, Outgoing], int]

OTHER = "other"
REASONS = frozenset({"full", "credentials", "origin", "rate", "draining", OTHER})
DURATION_BUCKETS_S = (1, 10, 60, 300, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600)

_ENDINGS: dict[str, set[CloseCode]] = {
    "goodbye": {CloseCode.NORMAL, CloseCode.GOING_AWAY},
    "no_code": {CloseCode.NO_STATUS},  # uvicorn says so of a connection that was cut, too
    "lost": {CloseCode.ABNORMAL},
    "fault": {CloseCode.INTERNAL_ERROR},
    "restart": {CloseCode.SERVICE_RESTART},
    "slow": {CloseCode.TRY_AGAIN_LATER},
    "timeout": {CloseCode.IDLE, CloseCode.EXPIRED},
}
_CLASS_OF = {
    **dict.fromkeys(map(int, CloseCode), "refused"),
    **{int(code): word for word, codes in _ENDINGS.items() for code in codes},
}
_TYPE = re.compile(r'"type"\s*:\s*"([^"\\]{1,64})"')
_LOOK_CHARS = 256


def class_of(code: int) -> str:
    """Return the class of a close code, one of nine words. A peer may send any code it likes."""
    return _CLASS_OF.get(code, OTHER)


def look(payload: str | bytes) -> str:
    """Return what a message says its type is, by a look at its beginning; not by parsing it.

    A message can lie to it. All that it gets by that is another one of our own labels.
    """
    if isinstance(payload, bytes):
        return "binary"
    found = _TYPE.search(payload, 0, _LOOK_CHARS)
    return found[1] if found else OTHER


class Metrics:
    """The metrics of one process.

    Args:
        types: message types that get a label of their own; all others are `other`.
        registry: where the metrics are registered. By default a new one, so that a test or a cell
            can make them again; `prometheus_client.REGISTRY` has CPU and memory as well.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        types: Iterable[str] = (),
        registry: CollectorRegistry | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.types = frozenset(types) | {"binary", OTHER}
        self._clock = clock
        self._active = Gauge(
            "realtime_connections_active",
            "Connections that are open now",
            ["transport"],
            registry=self.registry,
            multiprocess_mode="livesum",  # of the living: see `scrape`
        )
        counter = self._counter
        self._accepted = counter("connections_accepted", "Connections that began", "transport")
        self._refused = counter("connections_refused", "Handshakes turned away", "reason")
        self._closed = counter(
            "connections_closed", "Connections that ended", "transport", "ending", "by"
        )
        self._messages = counter("messages", "Messages, by delivery", "direction", "type")
        self._bytes = counter("message_bytes", "Payload bytes, by delivery", "direction")
        self._duration = Histogram(
            "realtime_connection_duration_seconds",
            "How long connections lasted, when they ended",
            ["transport"],
            buckets=DURATION_BUCKETS_S,
            registry=self.registry,
        )
        self._bytes_in = self._bytes.labels("in")
        self._heard = {each: self._messages.labels("in", each) for each in self.types}

    @contextmanager
    def session(self, transport: Transport = "websocket") -> Iterator[Visit]:
        """Count one connection for the body of the `with`: the only place that does.

        For an event stream, in a dependency with `yield`: it lasts as long as the stream.
        """
        visit = Visit(self._hear)
        active, began_s = self._active.labels(transport), self._clock()
        error: BaseException | None = None
        active.inc()
        self._accepted.labels(transport).inc()
        try:
            yield visit
        except BaseException as raised:
            error = raised
            raise
        finally:
            active.dec()
            self._duration.labels(transport).observe(self._clock() - began_s)
            self._end(transport, visit.ended(error))

    def refused(self, reason: str) -> None:
        """Count a handshake that was turned away; a reason not in `REASONS` is `other`."""
        self._refused.labels(reason if reason in REASONS else OTHER).inc()

    def label(self, type_: object) -> str:
        """Return the label of a message type: itself if it is one of ours, else `other`."""
        return type_ if isinstance(type_, str) and type_ in self.types else OTHER

    def publishing(self, publish: Publish, type_: str) -> Publish:
        """Wrap `Manager.publish`, for messages of one type: one `inc(n)` for all it goes to.

        Raises:
            ValueError: the type is not among `types`: a label is decided before, by us.
        """
        if type_ not in self.types:
            raise ValueError(f"type {type_!r} has no label: add it to `types`")
        messages, size = self._messages.labels("out", type_), self._bytes.labels("out")

        def counted(topic: str, message: Outgoing) -> int:
            accepted = publish(topic, message)
            messages.inc(accepted)
            size.inc(accepted * message.size)
            return accepted

        return counted

    def _hear(self, payload: str | bytes, size: int) -> None:
        self._heard[self.label(look(payload))].inc()
        self._bytes_in.inc(size)

    def _end(self, transport: Transport, ending: Ending) -> None:
        self._closed.labels(transport, class_of(ending.code), ending.by).inc()

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(f"realtime_{name}", help_, labels, registry=self.registry)
