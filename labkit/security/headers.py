"""What a browser is told about the pages of this service.

They do not protect a WebSocket; they protect the page that opens it: from scripts of others
(Content-Security-Policy, whose `connect-src` also says which WebSockets a script may open), from
being framed, from leaking its address. CORS is the opposite of protection: it opens what the
browser's same-origin rule has closed, and says nothing about WebSockets.

Chapter 8. After the OWASP Secure Headers Project.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

DEFAULTS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_TWO_YEARS_S = 63_072_000


class SecurityHeaders:
    """ASGI middleware: add the headers that a response does not have yet.

    Over TLS it adds `Strict-Transport-Security`; to an event stream `Cache-Control: no-store`,
    so that nobody keeps what was meant for one reader.

    Args:
        app: whose responses.
        headers: names in lower case; they go before `DEFAULTS`, and an empty value removes one.
    """

    def __init__(self, app: ASGIApp, headers: Mapping[str, str] | None = None) -> None:
        self._app = app
        self._headers = {k: v for k, v in {**DEFAULTS, **(headers or {})}.items() if v}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, with the headers in the first part of the response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(MutableHeaders(scope=message), scope)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _add(self, headers: MutableHeaders, scope: Scope) -> None:
        for name, value in self._headers.items():
            headers.setdefault(name, value)
        if scope["scheme"] == "https":
            transport = f"max-age={_TWO_YEARS_S}; includeSubDomains"
            headers.setdefault("strict-transport-security", transport)
        if headers.get("content-type", "").startswith("text/event-stream"):
            headers.setdefault("cache-control", "no-store")
