"""Room 1 · Architecture: who is connected, what they hear, and what one of them may cost.

    codes      close codes that say *come back* or *stop*
    messages   parsed once on the way in, encoded once on the way out
    backlog    what waits for a slow reader: bounded, with a named policy
    inline     the first step of a send, and the end of a turn, without a task
    outbox     one connection's way out; the publisher never waits
    manager    connections, topics, users: indexes that always agree
    handlers   from a message to the code that answers it
    bus        events inside one process

Nothing here knows a socket, a web framework or a broker.
"""

from labkit.architecture.backlog import Backlog, Overflow
from labkit.architecture.bus import EventBus
from labkit.architecture.codes import CloseCode, should_reconnect
from labkit.architecture.handlers import Refused, Router, add_subscriptions
from labkit.architecture.manager import Connection, Ending, Manager, TooManyTopics
from labkit.architecture.messages import (
    BadMessage,
    ClientMessage,
    Outgoing,
    Ping,
    Pong,
    Subscribe,
    Topic,
    Unsubscribe,
    Vocabulary,
    binary,
    encode,
)
from labkit.architecture.outbox import Outbox

__all__ = [
    "Backlog",
    "BadMessage",
    "ClientMessage",
    "CloseCode",
    "Connection",
    "Ending",
    "EventBus",
    "Manager",
    "Outbox",
    "Outgoing",
    "Overflow",
    "Ping",
    "Pong",
    "Refused",
    "Router",
    "Subscribe",
    "TooManyTopics",
    "Topic",
    "Unsubscribe",
    "Vocabulary",
    "add_subscriptions",
    "binary",
    "encode",
    "should_reconnect",
]
