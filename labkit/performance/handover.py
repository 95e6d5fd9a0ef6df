"""Past the frames: a framework routes, checks, refuses, and then lets go of the connection.

What FastAPI and Starlette put around an endpoint stays as long as the endpoint runs: exit stacks,
the request three times over, what its dependencies gave, wrappers of `send`, and a dozen frames.
For a request that is nothing. A connection that lasts for hours holds some 10 KiB that way, more
than all that serves it. With `Handover` around the application, an endpoint may hand the connection
over and return; everything is given back, and what is left is the server and what serves.

Plain ASGI, so it works with any server, and an opt-in: without `Handover`, what is handed over
runs where it is. `labkit bench memory` compares both.

Chapter 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.exception_handlers import http_exception_handler
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketState

from labkit.architecture.inline import SEND

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REST = "labkit.rest"


class Handover:
    """ASGI middleware: serves what an endpoint hands over, once the application has returned.

    Put it around the whole application: what stands inside sees the endpoint return and no more,
    be it middleware, a span of a trace, or a dependency with `yield`. Starlette's
    `BaseHTTPMiddleware` takes that for an error, so it has no place inside. When something inside
    has answered after all, or fails, what was handed over does not begin.

    It includes `DirectSend` for what is handed over, so nothing outside of it may wrap `send` in
    timeouts or cancel scopes.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve by the application, then what it has handed over."""
        rest = await self._begun(scope, receive, send)
        if rest is not None:
            await rest({SEND: send, **scope}, receive, send)

    async def _begun(self, scope: Scope, receive: Receive, send: Send) -> ASGIApp | None:
        rest: list[ASGIApp] = []

        async def answer(message: Message) -> None:
            rest.clear()
            await send(message)

        await self._app({**scope, _REST: rest}, receive, answer)
        return rest[0] if rest else None


class HandedOver(Response):
    """A response that runs when its endpoint is gone: `return HandedOver(event_stream(…))`.

    An `HTTPException` that it raises before it starts is answered as FastAPI does by default.

    Args:
        response: what runs. Headers and background tasks of this one are its own.
    """

    def __init__(self, response: Response) -> None:
        self.background = response.background
        self.raw_headers = response.raw_headers
        self.status_code = response.status_code
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand over, or run here when there is nobody to take it."""
        self._response.background = self.background
        if _REST in scope:
            scope[_REST].append(self._run)
        else:
            await self._response(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._response(scope, receive, send)
        except HTTPException as error:
            refusal = await http_exception_handler(Request(scope), error)
            await refusal(scope, receive, send)


async def hand_over(
    websocket: WebSocket, converse: Callable[[WebSocket], Awaitable[object]]
) -> None:
    """Let `converse` serve a WebSocket when its endpoint is gone: the last line of the endpoint.

    Args:
        websocket: of the endpoint, not accepted yet: refuse it, or let `converse` accept it.
        converse: given a WebSocket without the frameworks' wrappers, and with the server's scope:
            what it needs of path, user or dependencies, it has to bring along.

    Raises:
        RuntimeError: it is accepted already.
    """
    if _REST not in websocket.scope:
        await converse(websocket)
        return
    if websocket.application_state is not WebSocketState.CONNECTING:
        raise RuntimeError("hand a WebSocket over before it is accepted")

    async def rest(scope: Scope, receive: Receive, send: Send) -> None:
        await converse(WebSocket(scope, receive, send))

    websocket.scope[_REST].append(rest)
