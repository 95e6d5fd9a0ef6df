"""What ends streams from outside: their client leaves, or the server stops.

A stream of sse-starlette has four tasks: its request's, and one each for the body, the client and
the server. Here the body runs in the request's own, and whether the server stops is asked once for
all streams of a loop. What is left is one small task for the client, since ASGI tells a disconnect
only to whoever awaits `receive`.

Chapter 3.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

from sse_starlette.sse import EventSourceResponse

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from starlette.types import Receive


class Shutdown:
    """Tells the streams of one loop that the server stops, as sse-starlette has noticed it."""

    _all: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Shutdown]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._told: set[Callable[[], None]] = set()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Shutdown:
        """Return the one of a loop."""
        return cls._all.setdefault(loop, cls())

    def tell(self, leave: Callable[[], None]) -> None:
        """Have `leave` called when the server stops; at once, if it is stopping."""
        self._told.add(leave)
        if self._task is None:  # in no request's context: it outlives the first one
            self._task = asyncio.create_task(self._wait(), context=Context())

    def forget(self, leave: Callable[[], None]) -> None:
        """Do not call it any more. With the last one, the task goes."""
        self._told.discard(leave)
        if not self._told and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _wait(self) -> None:
        await EventSourceResponse._listen_for_exit_signal()  # noqa: SLF001 - it has no public form
        self._task = None
        for leave in tuple(self._told):
            leave()


class Leaving:
    """Around a stream: when its client leaves or the server stops, it may end by itself, and soon.

    A server that stops may only pretend a disconnect, so both are the same: `end` is called, and
    what is inside has `grace_s` seconds. After that it is cancelled, and no error is raised.

    Args:
        receive: of the stream's request.
        end: called once, in the loop: it waits for nothing.
        grace_s: seconds from there.
    """

    __slots__ = ("_end", "_grace", "_grace_s", "_left", "_receive", "_shutdown", "_watching")

    def __init__(self, receive: Receive, end: Callable[[], None], grace_s: float) -> None:
        self._receive = receive
        self._end = end
        self._grace_s = grace_s
        self._grace = asyncio.timeout(None)
        self._left = False

    async def __aenter__(self) -> None:
        await self._grace.__aenter__()
        self._watching = asyncio.create_task(_disconnected(self._receive))
        self._watching.add_done_callback(self._leave)
        self._shutdown = Shutdown.of(asyncio.get_running_loop())
        self._shutdown.tell(self._leave)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._left = True
        self._shutdown.forget(self._leave)
        self._watching.cancel()
        try:
            await self._grace.__aexit__(kind, error, traceback)
        except TimeoutError:
            return True
        return False

    def _leave(self, _watching: asyncio.Task[None] | None = None) -> None:
        if not self._left:
            self._left = True
            self._end()
            self._grace.reschedule(asyncio.get_running_loop().time() + self._grace_s)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass  # the body of the request is no stream's business
