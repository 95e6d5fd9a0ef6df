"""Past the wrappers: what is written inline goes to the server's own `send`.

Between an endpoint and the server, Starlette and FastAPI wrap `send` three or four times, to see
when a response begins. A message of a connection that is open long since passes through all of
them, and they look at each one. `DirectSend` keeps `send` as it is outside of them, and
`labkit.websocket.Session` and `labkit.sse.event_stream` use it for messages and events. Accept,
headers and close go the usual way.

Plain ASGI, so it works with any server, and an opt-in: nothing changes but the cost.

Chapter 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.architecture.inline import SEND

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class DirectSend:
    """ASGI middleware that keeps its `send` for what is written inline.

    Put it outside of what only watches, and inside of what changes bodies, such as compression:
    what goes this way is not seen by anything between here and the endpoint. Nothing outside of it
    may wrap `send` in timeouts or cancel scopes.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve with `send` in the scope."""
        await self._app({**scope, SEND: send}, receive, send)
