"""A place for each connection, as a FastAPI dependency; and a refusal that its client can read.

A dependency with `yield` is held as long as its connection lives, for a WebSocket and for an
event stream alike. For a pool that is a leak (chapter 2); for a place it is the very thing.

Who can read what (WHATWG WebSockets; RFC 6455 §4.1):
    - A program reads the HTTP answer to its handshake: status, `Retry-After`, body.
    - A page in a browser does not: it sees 1006 for every refusal before `accept`. So it is
      let in, and closed with 1013 at once. Browsers always send `Origin`; that tells them apart.

Chapter 4.
"""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

from fastapi import HTTPException, WebSocketException
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from labkit.architecture.codes import CloseCode
from labkit.connections.limits import AtCapacity, Capacity, Slot

SERVICE_UNAVAILABLE = 503
TOO_MANY_REQUESTS = 429


def one_slot(
    capacity: Capacity,
    *,
    user_of: Callable[[HTTPConnection], str | None] = lambda _connection: None,
    retry_after_s: float = 5.0,
) -> Callable[[HTTPConnection], AsyncIterator[Slot]]:
    """Make the dependency that holds one place for one connection.

    Use it as `dependencies=[Depends(one_slot(capacity))]`, on WebSocket and stream routes.
    Behind a proxy the address is the proxy's, unless uvicorn is told to trust its headers:
    `--proxy-headers --forwarded-allow-ips`.

    Args:
        capacity: where the places come from.
        user_of: who a connection belongs to, as authentication says.
        retry_after_s: when a refused client may come back, in seconds. Each is told another
            value, from one to two times this, so that they do not all come at once.

    Returns:
        A dependency that raises `HTTPException` or `WebSocketException` when there is no place.
    """

    async def slot(connection: HTTPConnection) -> AsyncIterator[Slot]:
        address = connection.client.host if connection.client else None
        try:
            held = capacity.reserve(user=user_of(connection), address=address)
        except AtCapacity as full:
            await refuse(connection, full, retry_after_s)
        with held:
            yield held

    return slot


async def refuse(connection: HTTPConnection, full: AtCapacity, retry_after_s: float) -> NoReturn:
    """Tell the client in the words it can read that there is no place.

    Raises:
        WebSocketException: 1013, for a page in a browser, after `accept`.
        HTTPException: 503 when the server is full, 429 when it is this client's own limit;
            with `Retry-After`.
    """
    if isinstance(connection, WebSocket) and "origin" in connection.headers:
        # A browser drops a connection that answers none of the subprotocols it offers.
        offered = connection.scope.get("subprotocols") or [None]
        await connection.accept(subprotocol=offered[0])
        raise WebSocketException(CloseCode.TRY_AGAIN_LATER, str(full)) from full
    seconds = math.ceil(retry_after_s * random.uniform(1, 2))  # noqa: S311 (spreads clients, hides nothing)
    status = SERVICE_UNAVAILABLE if full.scope == "server" else TOO_MANY_REQUESTS
    raise HTTPException(status, str(full), {"Retry-After": str(seconds)}) from full
