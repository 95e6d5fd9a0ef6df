"""Event-stream client that never waits without a deadline and reports what really happened."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import httpx

from labkit.sse.format import Event, Parser
from labkit.testing.outcomes import Disconnected, Silence, Unreachable
from labkit.testing.websocket_client import NAME_HEADER, reset_on_close

if TYPE_CHECKING:
    from collections.abc import Mapping

CLEAN_END = "ended"


class SSEClient:
    """Event-stream client of a lesson or a test. Make one with `connect`.

    It reads all the time, as a browser does, but it does not reconnect: that is for the lesson to
    show. `raw`, `comments` and `retry_ms` tell what has arrived so far.
    """

    def __init__(
        self, http: httpx.AsyncClient, response: httpx.Response, name: str, timeout_s: float
    ) -> None:
        self.name = name
        self.timeout_s = timeout_s
        self.status = response.status_code
        self.headers = response.headers
        self._http = http
        self._response = response
        self._raw = bytearray()
        self._parser = Parser(last_event_id=response.request.headers.get("last-event-id", ""))
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()  # None: the body has ended
        self._end = "was closed"
        self._reader = asyncio.create_task(self._read(), name=f"SSEClient:{name}")

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        name: str = "client",
        last_event_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
    ) -> Self:
        """Open a stream, and return when its response headers are here, whatever the status.

        Args:
            url: Address such as `http://127.0.0.1:8000/events`.
            name: What messages and views call this client.
            last_event_id: Id of the last event seen, to resume after it.
            headers: Further request headers.
            timeout_s: Deadline of every wait, in seconds.

        Raises:
            Unreachable: Nobody listens there.
            Silence: No response headers in time.
        """
        sent = {"accept": "text/event-stream", "accept-encoding": "identity", NAME_HEADER: name}
        if last_event_id is not None:
            sent["last-event-id"] = last_event_id
        http = httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(timeout_s, read=None))
        try:
            async with asyncio.timeout(timeout_s):
                request = http.build_request("GET", url, headers=sent | dict(headers or {}))
                response = await http.send(request, stream=True)
        except BaseException as error:
            await http.aclose()
            if isinstance(error, TimeoutError | httpx.TimeoutException):
                raise Silence(f"{name} got no response for {timeout_s:g} s") from error
            if isinstance(error, httpx.TransportError):
                raise Unreachable(f"{name} could not connect: is the server running?") from error
            raise
        return cls(http, response, name, timeout_s)

    @property
    def raw(self) -> bytes:
        """The body so far, byte for byte."""
        return bytes(self._raw)

    @property
    def last_event_id(self) -> str:
        """Id to send when resuming; empty when there is none."""
        return self._parser.last_event_id

    @property
    def retry_ms(self) -> int | None:
        """Reconnection time that the server asked for, in milliseconds."""
        return self._parser.retry_ms

    @property
    def comments(self) -> int:
        """Number of comment lines, such as keep-alives."""
        return self._parser.comments

    async def next(self, *, timeout_s: float | None = None) -> Event:
        """Return the next event.

        Args:
            timeout_s: Deadline of this wait, instead of the client's own.

        Raises:
            Disconnected: The stream ended first.
            Silence: No event came in time; comments do not count.
        """
        deadline_s = self.timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(deadline_s):
                event = await self._events.get()
        except TimeoutError as error:
            raise Silence(f"{self.name} heard nothing for {deadline_s:g} s") from error
        if event is None:
            self._events.put_nowait(None)  # the end stays the end
            raise Disconnected(f"the stream of {self.name} {self._end} (HTTP {self.status})")
        return event

    async def take(self, count: int) -> list[Event]:
        """Return the next `count` events. Raises what `next` raises."""
        return [await self.next() for _ in range(count)]

    async def closed(self) -> bool:
        """Wait until the body ends: True if it ended cleanly, False if it broke off.

        Raises:
            Silence: It stayed open.
        """
        done, _ = await asyncio.wait({self._reader}, timeout=self.timeout_s)
        if not done:
            raise Silence(f"the stream of {self.name} did not end for {self.timeout_s:g} s")
        return self._end == CLEAN_END

    def abort(self) -> None:
        """Vanish: the server sees a TCP reset."""
        stream = self._response.extensions["network_stream"]
        reset_on_close(stream.get_extra_info("socket"))
        self._reader.cancel()

    async def close(self) -> None:
        """Leave, as a browser tab that is closed."""
        self._reader.cancel()
        await asyncio.wait({self._reader})
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"SSEClient({self.name}, {'closed' if self._reader.done() else 'open'})"

    async def _read(self) -> None:
        """Parse the body until it ends."""
        try:
            async for chunk in self._response.aiter_raw():
                self._raw += chunk
                for event in self._parser.feed(chunk):
                    self._events.put_nowait(event)
            self._end = CLEAN_END
        except httpx.TransportError:
            self._end = "broke off"
        except ValueError as error:
            self._end = f"could not be parsed: {error}"
        finally:
            self._events.put_nowait(None)
            await self._response.aclose()
