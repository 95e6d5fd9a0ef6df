"""Where the servers of a lesson are: a port of this machine."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


class Addressed:
    """Has an address; `port` is 0 until it has one."""

    port: int

    @property
    def url(self) -> str:
        """Base address for HTTP, such as `http://127.0.0.1:54321`."""
        return f"http://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Base address for WebSockets, such as `ws://127.0.0.1:54321`."""
        return f"ws://{HOST}:{self.port}"


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
