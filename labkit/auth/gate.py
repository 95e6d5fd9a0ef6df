"""Where credentials are shown, and what a client sees that is refused.

Five doors, one decision. A header is for programs; a ticket, a cookie, a subprotocol and a first
message are for browsers, which cannot set a header here. Behind each of them `Gate` decides
within a deadline, counts, and logs one line that holds nothing of what was shown.

    what is wrong                 over HTTP             over a WebSocket
    expired                       401                   4001, renew and come back
    revoked                       401                   4502, stop
    anything else that was shown  401                   4500, stop
    a page of another origin      403                   HTTP 403, before accept
    we cannot tell now            503 with Retry-After  1013, come back later

A WebSocket is accepted before it is refused: a browser shows its script nothing of an HTTP
refusal but 1006. Only the header's door answers with HTTP.

Chapter 5.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from contextlib import suppress
from typing import Any

from fastapi import HTTPException
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from labkit.architecture.codes import CloseCode
from labkit.auth.live import Live
from labkit.auth.tokens import AuthUnavailable, BadCredentials, Identity

logger = logging.getLogger(__name__)

Verify = Callable[[str], Identity | Awaitable[Identity]]
"""Turns what was shown into an identity: `Tokens.verify` and `Tickets.take` are two."""

COOKIE = "__Host-session"
"""The prefix makes a browser insist on Secure, on Path=/ and on this host alone (RFC 6265bis)."""

_CODES = {"expired": CloseCode.EXPIRED, "revoked": CloseCode.REVOKED}
_TRY_LATER = "authentication is not available now: try again later"


class ForeignOrigin(Exception):  # noqa: N818 - it names the page, in the field's terms
    """A page of another site asks with our user's cookie."""


def bearer(connection: HTTPConnection) -> str:
    """Return the token of the Authorization header (RFC 6750 §2.1); empty if there is none."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def subprotocol_token(websocket: WebSocket) -> str:
    """Return the token that a page has put among its subprotocols as `bearer.<token>`.

    The answer must name another of them, never this one: `accept(subprotocol="app.v1")`.
    """
    offered: list[str] = websocket.scope["subprotocols"]
    tokens = [each.removeprefix("bearer.") for each in offered if each.startswith("bearer.")]
    return tokens[0] if len(tokens) == 1 else ""


def cookie(connection: HTTPConnection, origins: Collection[str], name: str = COOKIE) -> str:
    """Return the cookie, if a page of ours sends it; empty if there is none.

    A browser sends the cookie with every request to us, whoever's page asks. It also says whose
    page that is, and this cannot be forged from inside a browser. A same-origin GET has no
    Origin: there `Sec-Fetch-Site` must not say otherwise. A WebSocket always has one.

    Args:
        connection: a request or a WebSocket.
        origins: scheme, host and port of our pages, such as `https://app.example`.
        name: the cookie's name.

    Raises:
        ForeignOrigin: the page is not one of ours.
    """
    origin = connection.headers.get("origin")
    fetched = connection.headers.get("sec-fetch-site", "same-origin")
    plain_get = connection.scope["type"] == "http" and fetched in {"same-origin", "none"}
    if origin not in origins and not (origin is None and plain_get):
        raise ForeignOrigin
    return connection.cookies.get(name, "")


class Gate:
    """Decides who comes in.

    Args:
        live: knows what was withdrawn.
        timeout_s: how long a verification may take, and a first message be awaited, in seconds.

    Attributes:
        refused: how many were refused, by word; `unavailable` counts our own outages.
    """

    def __init__(self, live: Live, *, timeout_s: float = 5.0) -> None:
        self.refused: Counter[str] = Counter()
        self.timeout_s = timeout_s
        self._live = live

    async def decide(self, credentials: str, verify: Verify) -> Identity:
        """Turn credentials into an identity, within the deadline.

        Raises:
            BadCredentials: they are missing, wrong, expired or withdrawn.
            AuthUnavailable: whoever verifies them does not answer, or not in time.
        """
        try:
            return await self._verified(credentials, verify)
        except BadCredentials as error:
            self.note(error.code)
            raise
        except (AuthUnavailable, OSError) as error:  # a TimeoutError is an OSError
            self.refused["unavailable"] += 1
            logger.error("cannot authenticate anyone: %s", type(error).__name__)  # noqa: TRY400 - a traceback can hold what was shown
            raise AuthUnavailable(_TRY_LATER) from None

    async def _verified(self, credentials: str, verify: Verify) -> Identity:
        if not credentials:
            raise BadCredentials("missing")
        async with asyncio.timeout(self.timeout_s):
            found = verify(credentials)
            identity = await found if inspect.isawaitable(found) else found
        self._live.check(identity)
        return identity

    def note(self, word: str) -> None:
        """Count a refusal and log it, without a word of what was shown."""
        self.refused[word] += 1
        logger.info("refused: %s", word)

    async def http(self, credentials: str, verify: Verify) -> Identity:
        """Decide for an HTTP request, or for a WebSocket of a program.

        Raises:
            HTTPException: 401 with `WWW-Authenticate` (RFC 6750 §3), or 503 with `Retry-After`.
        """
        try:
            return await self.decide(credentials, verify)
        except BadCredentials as error:
            challenge = 'Bearer error="invalid_token"' if credentials else "Bearer"
            raise HTTPException(401, error.code, {"WWW-Authenticate": challenge}) from None
        except AuthUnavailable as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from None

    def foreign(self) -> HTTPException:
        """Count a page of another origin, and return the answer to raise."""
        self.note("foreign origin")
        return HTTPException(403, "this page may not do that")

    async def websocket(
        self,
        websocket: WebSocket,
        credentials: str,
        verify: Verify,
        *,
        subprotocol: str | None = None,
    ) -> Identity | None:
        """Decide for a WebSocket, and accept it in any case.

        Args:
            websocket: not accepted yet.
            credentials: what was shown; empty if nothing.
            verify: says whose they are.
            subprotocol: what to accept, if the page has offered it.

        Returns:
            None when it was refused: then it is closed already.
        """
        offered = subprotocol in websocket.scope["subprotocols"]
        try:
            identity: Identity | None = await self.decide(credentials, verify)
            refusal = None
        except (BadCredentials, AuthUnavailable) as error:
            identity, refusal = None, error
        try:
            await websocket.accept(subprotocol=subprotocol if offered else None)
        except WebSocketDisconnect:  # it has not waited for the decision
            return None
        if refusal is not None:
            await _refuse(websocket, refusal)
        return identity

    async def first_message(self, websocket: WebSocket, verify: Verify) -> Identity | None:
        """Accept, and decide by the first message: `{"type": "auth", "token": …}`.

        Until then the client is a stranger with an open socket. So it has `timeout_s` for the
        whole of it, and nothing else is read.

        Returns:
            None when it was refused or has left.
        """
        await websocket.accept()
        try:
            async with asyncio.timeout(self.timeout_s):
                token = _token_of(await websocket.receive())
        except TimeoutError:
            self.note("silent")
            await _close(websocket, CloseCode.UNAUTHENTICATED, "no credentials in time")
            return None
        except WebSocketDisconnect:
            return None
        try:
            return await self.decide(token, verify)
        except (BadCredentials, AuthUnavailable) as error:
            await _refuse(websocket, error)
            return None


async def _refuse(websocket: WebSocket, error: BadCredentials | AuthUnavailable) -> None:
    if isinstance(error, BadCredentials):
        code = _CODES.get(error.code, CloseCode.UNAUTHENTICATED)
        await _close(websocket, code, error.code)
    else:
        await _close(websocket, CloseCode.TRY_AGAIN_LATER, str(error))


async def _close(websocket: WebSocket, code: CloseCode, reason: str) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):  # it has not waited for the answer
        await websocket.close(code, reason)


def _token_of(message: MutableMapping[str, Any]) -> str:
    """Return the token of a first message; empty if it is anything else."""
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect
    try:
        said = json.loads(message.get("text") or "")
    except (ValueError, RecursionError):
        return ""
    if not isinstance(said, dict) or said.get("type") != "auth":
        return ""
    token = said.get("token")
    return token if isinstance(token, str) else ""
