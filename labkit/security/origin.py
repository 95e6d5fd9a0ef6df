"""Whose pages may connect: asked once, before routing, for every WebSocket there is.

A browser sends cookies with a WebSocket handshake whoever's page opens it, and no CORS rule
stops it (RFC 6455 §10.2). What it also sends, and no page can change, is `Origin` (RFC 6454
§7). So the server compares, and a middleware does it, since a check in each endpoint is
forgotten in one.

This protects users of browsers. A program writes what it likes into `Origin`, so this is no
authentication.

Chapter 8.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOGGED_CHARS = 100


class OriginGuard:
    """ASGI middleware: refuse pages of other origins with 403, before anything is accepted.

    It asks every WebSocket, and every HTTP request that carries a cookie, so that an event
    stream or a form of another page is refused as well. Add it last, so that it is outermost.

    Args:
        app: what it guards.
        allowed: origins, such as `https://app.example`. Scheme, host and port must be the same.
        missing: what happens to a WebSocket that names no origin. Browsers always name one;
            programs and health checks do not. `refuse` unless those carry a credential that is
            no cookie.

    Raises:
        ValueError: `allowed` is empty, or one of them is no origin.

    Attributes:
        refused: how many were refused.
    """

    def __init__(
        self, app: ASGIApp, *, allowed: Collection[str], missing: Literal["allow", "refuse"]
    ) -> None:
        if isinstance(allowed, str) or not allowed:
            raise ValueError("allowed is empty or one text: list the origins of your own pages")
        self._app = app
        self._allowed = frozenset(serialised(each) for each in allowed)
        self._missing = missing
        self.refused = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the exchange on, or refuse it."""
        if scope["type"] not in {"http", "websocket"} or self._welcome(scope):
            await self._app(scope, receive, send)
            return
        self.refused += 1
        logger.info("refused the origin %s", _loggable(Headers(scope=scope).getlist("origin")))
        refusal = PlainTextResponse("pages of this origin may not connect\n", 403)
        if scope["type"] == "http":
            await refusal(scope, receive, send)
        elif "websocket.http.response" in scope.get("extensions", {}):
            await WebSocket(scope, receive, send).send_denial_response(refusal)
        else:
            await WebSocket(scope, receive, send).close()

    def _welcome(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        if scope["type"] == "http" and ("cookie" not in headers or not origins):
            return True  # without a cookie it is nobody; without an origin it is not cross-origin
        if not origins:
            return self._missing == "allow"
        return len(origins) == 1 and origins[0] in self._allowed


def serialised(origin: str) -> str:
    """Return an origin as browsers write it (RFC 6454 §6.2): lower case, no default port.

    Raises:
        ValueError: it is not scheme, host and perhaps a port.
    """
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    bare = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not bare or "*" in origin:
        raise ValueError(
            f"allowed has {origin!r}: write scheme and host, 'https://app.example', no path, no *"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = port is None or port == _DEFAULT_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" if default else f"{parts.scheme}://{host}:{port}"


def _loggable(origins: list[str]) -> str:
    """Write what a stranger sent so that it stays one short line."""
    return ascii(", ".join(origins)[:_LOGGED_CHARS])
