"""Clients of lessons and tests, and what can happen to them."""

from labkit.testing.outcomes import Closed, Disconnected, Rejected, Silence, Unreachable
from labkit.testing.sse_client import SSEClient
from labkit.testing.websocket_client import WebSocketClient

__all__ = [
    "Closed",
    "Disconnected",
    "Rejected",
    "SSEClient",
    "Silence",
    "Unreachable",
    "WebSocketClient",
]
