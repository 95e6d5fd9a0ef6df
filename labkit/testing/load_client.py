"""The process behind `load`: sockets, a selector, and counters.

It is started by `Load`, which it calls back for orders, and ends when that goes away.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import socket
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from labkit.testing.load import Counted, as_line

CHUNK_BYTES = 1 << 18
TIME_MARK = b'"t":'
SAMPLE_EVERY = 7
MAX_SAMPLES = 20_000
_TWO_BYTES, _EIGHT_BYTES = 126, 127


class Client:
    """One connection: how many messages it has, and the bytes of one that is incomplete."""

    __slots__ = ("count", "rest", "sock")

    def __init__(self, sock: socket.socket, rest: bytes) -> None:
        self.sock = sock
        self.rest = rest
        self.count = 0


def count_frames(data: bytes) -> tuple[int, bytes]:
    """Count the complete frames in `data`; return how many, and what is left over."""
    count, at, size = 0, 0, len(data)
    while size - at >= 2:  # noqa: PLR2004 - the shortest header
        length = data[at + 1] & 0x7F
        head = 2
        if length == _TWO_BYTES:
            head, length = 4, int.from_bytes(data[at + 2 : at + 4], "big")
        elif length == _EIGHT_BYTES:
            head, length = 10, int.from_bytes(data[at + 2 : at + 10], "big")
        whole = head + length
        if size - at < whole or (head > 2 and size - at < head):  # noqa: PLR2004 - as above
            break
        same = (size - at) // whole
        if same > 1 and _alike(data, at, whole, same):
            count, at = count + same, at + same * whole
        else:
            count, at = count + 1, at + whole
    return count, data[at:]


def _alike(data: bytes, at: int, whole: int, same: int) -> bool:
    """Say whether the next `same` frames have one header, so that they need not be looked at."""
    end = at + same * whole
    return all(
        data[at + n : end : whole] == data[at + n : at + n + 1] * same
        for n in range(min(4, whole))
        if n < 2 or data[at + 1] & 0x7F == _TWO_BYTES  # noqa: PLR2004 - bytes 2 and 3 are a length
    )


def count_events(data: bytes) -> tuple[int, bytes]:
    """Count the `data:` lines in `data`; return how many, and the bytes that may begin one."""
    return data.count(b"\ndata:"), data[-5:]


class Crowd:
    """All clients of one process."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._count = count_frames if settings["kind"] == "websocket" else count_events
        self._selector = selectors.DefaultSelector()
        self.clients = [Client(*self._connect()) for _ in range(settings["connections"])]
        for client in self.clients:
            client.sock.setblocking(False)
            self._selector.register(client.sock, selectors.EVENT_READ, client)
        self.open = len(self.clients)

    def _connect(self) -> tuple[socket.socket, bytes]:
        """Open one connection with its handshake; return what came behind the answer."""
        address = urlsplit(self._settings["url"])
        assert address.hostname is not None
        sock = socket.create_connection((address.hostname, address.port or 80), timeout=20)
        target = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
        lines = [f"GET {target} HTTP/1.1", f"Host: {address.netloc}"]
        if self._settings["kind"] == "websocket":
            key = base64.b64encode(os.urandom(16)).decode()
            lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
            lines += [f"Sec-WebSocket-Key: {key}"]
            if self._settings["deflate"]:
                offer = "permessage-deflate; client_max_window_bits"
                lines += [f"Sec-WebSocket-Extensions: {offer}"]
        else:
            lines += ["Accept: text/event-stream"]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            chunk = sock.recv(CHUNK_BYTES)
            if not chunk:
                raise ConnectionError("the server closed during the handshake")
            answer += chunk
        head, _, rest = answer.partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1].decode()
        if status not in {"101", "200"}:
            raise ConnectionError(f"the server answered HTTP {status}")
        if self._settings["hello"] is not None:
            sock.sendall(masked(self._settings["hello"].encode()))
        return sock, rest

    def until(self, messages: int, timeout_s: float) -> Counted:
        """Read until every client has so many more messages, or until the time is up."""
        cpu_s, deadline = time.process_time(), time.monotonic() + timeout_s
        first = last = 0.0
        size = reads = waiting = 0
        latencies: list[float] = []
        for client in self.clients:
            client.count -= messages
            waiting += client.count < 0
        while waiting and self.open and (left_s := deadline - time.monotonic()) > 0:
            for key, _ in self._selector.select(left_s):
                client = key.data
                data = self._read(client)
                last = time.monotonic()
                first = first or last
                size, reads = size + len(data), reads + 1
                if reads % SAMPLE_EVERY == 0 and len(latencies) < MAX_SAMPLES:
                    latencies += sampled(data, last)
                was = client.count
                more, client.rest = self._count(client.rest + data)
                client.count += more
                waiting -= was < 0 <= client.count
        total = sum(client.count + messages for client in self.clients)
        for client in self.clients:
            client.count = max(client.count, 0)  # what is missing is not asked for again
        return Counted(
            connections=len(self.clients),
            messages=total,
            bytes=size,
            short=waiting,
            latencies_ms=latencies,
            took_s=last - first,
            cpu_s=time.process_time() - cpu_s,
        )

    def _read(self, client: Client) -> bytes:
        try:
            data = client.sock.recv(CHUNK_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self._selector.unregister(client.sock)
            self.open -= 1
        return data


def masked(payload: bytes) -> bytes:
    """Make the frame of a short text from a client, masked with zeros (RFC 6455 §5.3)."""
    if len(payload) >= _TWO_BYTES:
        head = bytes((0x81, 0x80 | _TWO_BYTES)) + len(payload).to_bytes(2, "big")
    else:
        head = bytes((0x81, 0x80 | len(payload)))
    return head + b"\0\0\0\0" + payload


def sampled(data: bytes, now: float) -> list[float]:
    """Return the age in milliseconds of the newest message in `data` that says when it was made."""
    at = data.rfind(TIME_MARK)
    if at < 0:
        return []
    number = data[at + len(TIME_MARK) : at + len(TIME_MARK) + 24].lstrip()
    end = next((n for n, char in enumerate(number) if char not in b"0123456789.e-+"), 0)
    return [1000 * (now - float(number[:end]))] if end else []


def main() -> None:
    """Call back, connect, and count whatever is ordered."""
    port, settings = int(sys.argv[1]), json.loads(sys.argv[2])
    if settings["core"] is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {settings["core"]})
    with socket.create_connection(("127.0.0.1", port)) as control:
        orders = control.makefile("rb")
        try:
            crowd = Crowd(settings)
        except OSError as error:
            control.sendall(json.dumps({"error": str(error)}).encode() + b"\n")
            return
        control.sendall(b'{"ready": true}\n')
        for line in orders:
            order = json.loads(line)
            control.sendall(as_line(crowd.until(order["messages"], order["timeout_s"])))


if __name__ == "__main__":
    main()
