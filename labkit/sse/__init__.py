"""Chapter 3: event streams that a client can leave and come back to.

- `format`: the wire format. `encode` is strict, `Parser` lenient and incremental. Pure.
- `history`: the last events, each at a position `epoch:offset`. All since, or a reason. Pure.
- `subscription`: what waits for one stream, bounded, with losses told as `event: gap`.
- `broker`: the contract of a broker, and the one in memory.
- `reader`: one supervised pub/sub connection for a process.
- `valkey`: the same contract over many processes.
- `leaving`: how a stream learns that its client leaves or the server stops.
- `stream`: a subscription as an HTTP response.

Delivery is at most once and in order within a topic. A client resumes with `Last-Event-ID`:
it gets all it missed, or a gap that says it cannot; never a part.
"""

from __future__ import annotations

from labkit.sse.broker import Broker, BrokerUnavailableError, MemoryBroker
from labkit.sse.format import Event, Parser, comment, encode, encode_silent
from labkit.sse.history import Entry, GapReason, History, Position, Recovered, Reset
from labkit.sse.stream import StreamOptions, StreamStats, event_stream
from labkit.sse.subscription import Batch, Subscription
from labkit.sse.valkey import ValkeyBroker

__all__ = [
    "Batch",
    "Broker",
    "BrokerUnavailableError",
    "Entry",
    "Event",
    "GapReason",
    "History",
    "MemoryBroker",
    "Parser",
    "Position",
    "Recovered",
    "Reset",
    "StreamOptions",
    "StreamStats",
    "Subscription",
    "ValkeyBroker",
    "comment",
    "encode",
    "encode_silent",
    "event_stream",
]
