"""A page for a real browser: it shows what arrives, and lets a person type.

It opens one WebSocket or one event stream. The application serves it itself, so both have one
origin, and every address in it is relative, so it also works behind a proxy. It loads
nothing from elsewhere.
"""

from __future__ import annotations

import html
import json
import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Protocol

from starlette.responses import HTMLResponse

from labkit.workbench.display import is_static

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.applications import Starlette
    from starlette.requests import Request

_TEMPLATE = Path(__file__).with_name("page.html")
_HEIGHT_PX = 320


def mount_page(
    app: Starlette,
    path: str = "/page",
    *,
    websocket: str | None = None,
    events: str | None = None,
    hello: Sequence[str] = (),
    message: str = "$TEXT",
    types: Sequence[str] = (),
    post: str | None = None,
    title: str = "What arrives here",
) -> None:
    """Serve the page at `path` of `app`.

    Args:
        app: The application; FastAPI's is one.
        path: Where the page is.
        websocket: Path of the WebSocket to open. Give this or `events`.
        events: Path of the event stream to open.
        hello: Messages to send as soon as the WebSocket is open, such as a subscription.
        message: What to send for a typed text; `"$TEXT"` in it becomes the text as a JSON string.
        types: Types of events to show besides `message`.
        post: Path that takes typed text by POST; an event stream has no way back of its own.
        title: Heading of the page.

    Raises:
        ValueError: Not exactly one of `websocket` and `events` is given.
    """
    if (websocket is None) == (events is None):
        raise ValueError("give the page one stream to open: websocket= or events=")
    setup = {
        "websocket": _relative(websocket, path),
        "events": _relative(events, path),
        "post": _relative(post, path),
        "hello": list(hello),
        "message": message,
        "types": list(types),
    }
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        setup=json.dumps(setup).replace("<", "\\u003c"),  # `</script>` would end it
    )

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(text, headers={"cache-control": "no-store"})

    app.router.add_route(path, page, include_in_schema=False)


def _relative(target: str | None, page: str) -> str | None:
    return None if target is None else posixpath.relpath(target, posixpath.dirname(page))


class Served(Protocol):
    """A server that runs on this machine."""

    @property
    def url(self) -> str:
        """Base address, such as `http://127.0.0.1:54321`."""

    @property
    def port(self) -> int:
        """TCP port."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page in a frame of the notebook; `str()` says what it is and never where it runs."""

    address: str
    path: str

    def __str__(self) -> str:
        return f"page of the server at {self.path}"

    __repr__ = __str__

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": str(self)} | ({} if is_static() else {"text/html": self.html()})

    def html(self) -> str:
        """Return the frame, with a link that opens the page in a tab of its own."""
        address = html.escape(self.address)
        return (
            f'<iframe src="{address}" title="{html.escape(str(self))}" width="100%" '
            f'height="{_HEIGHT_PX}" style="border:1px solid #8a94a0;border-radius:8px"></iframe>'
            f'<p><a href="{address}" target="_blank" rel="noopener">open it in another tab</a></p>'
        )


def browser(server: Served, path: str = "/page") -> Page:
    """Show a page of `server` inside the notebook, through the proxy where there is one.

    On a JupyterHub, and so on Binder, a browser reaches a port of this machine only through
    jupyter-server-proxy.
    """
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    base = f"{prefix.rstrip('/')}/proxy/{server.port}" if prefix else server.url
    return Page(base + path, path)
