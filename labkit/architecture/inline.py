"""What is done without a task: the first step of a send, and the end of a turn of the loop.

A server's `send` does not suspend while the transport takes the bytes, so its first step is all
of it, and no task is needed to make that step. And what is put during one turn can be written at
its end: together, once for each connection, and with one callback for all of them.

Chapter 1. On Python 3.12 and later, a task with `eager_start=True` is the standard form of
`begin`.
"""

from __future__ import annotations

import asyncio
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

M = TypeVar("M")
R = TypeVar("R")

SEND = "labkit.send"
"""Key of the ASGI scope under which a middleware may have kept a `send` for what is written inline.

It is that middleware's own: those between it and the application do not see what goes this way.
"""

MAX_POST = 64
"""Messages of one turn to one audience; with more, each connection's own bounds come in."""


def begin(coro: Coroutine[Any, Any, None]) -> Awaitable[None] | None:
    """Make the first step of a coroutine, here and now.

    The step runs outside any task: nothing in it may use timeouts or cancel scopes.

    Returns:
        None when that was all of it, else the rest, to be awaited by one task.
    """
    try:
        waiting_for = coro.send(None)
    except StopIteration:
        return None
    return _resume(coro, waiting_for)


@types.coroutine
def _resume(coro: Coroutine[Any, Any, None], waiting_for: object) -> Generator[Any, Any, None]:
    """Carry on, inside a task, a coroutine that was driven to its first suspension outside."""
    try:
        while True:
            try:
                value = yield waiting_for
            except BaseException as error:  # noqa: BLE001 - cancellation is the coroutine's
                waiting_for = coro.throw(error)
            else:
                waiting_for = coro.send(value)
    except StopIteration:
        return


class Outlet(Protocol[M]):
    """A way out: takes messages during a turn, and writes them when it ends."""

    def put(self, message: M) -> object:
        """Take one message."""

    def put_all(self, messages: list[M], size: int) -> None:
        """Take all the messages of a turn that ends now, `size` bytes together, and write them."""

    def flush(self) -> None:
        """Write what was taken."""


class Once(Generic[M, R]):
    """Makes something of a turn's messages: outlets that are given the same get the same.

    Args:
        make: makes it. Only the last is kept.
    """

    __slots__ = ("_made", "_make", "_messages")

    def __init__(self, make: Callable[[list[M]], R]) -> None:
        self._make = make
        self._messages: list[M] = []
        self._made = make([])

    def __call__(self, messages: list[M]) -> R:
        """Return what is made of them; nobody changes the list afterwards."""
        if messages != self._messages:
            self._messages, self._made = messages, self._make(messages)
        return self._made


class Post(Generic[M]):
    """What one turn has said so far to one audience."""

    __slots__ = ("audience", "messages", "size")

    def __init__(self, audience: tuple[Outlet[M], ...], message: M, size: int) -> None:
        self.audience = audience
        self.messages = [message]
        self.size = size


class Turn:
    """What is to be written when the turn of one loop ends.

    One callback does it for all: a thousand would cost as much as what they write. And as long as
    a turn has spoken to one audience only, nothing is shared out before its end, so that each
    connection is looked up once, to write: a thousand of them do not fit into a processor's cache.

    Attributes:
        post: what was said and is not shared out. Whoever gives an outlet something else does
            `share_out` first, which keeps the order.
    """

    _all: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Turn]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._waiting: deque[Outlet[Any]] = deque()
        self.post: Post[Any] | None = None

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Turn:
        """Return the one of a loop."""
        turn = cls._all.get(loop)
        if turn is None:
            turn = cls._all[loop] = cls()
        return turn

    def say(self, audience: tuple[Outlet[M], ...], message: M, size: int) -> None:
        """Give one message of `size` bytes to many."""
        post = self.post
        if post is None and not self._waiting:
            self.post = Post(audience, message, size)
            asyncio.get_running_loop().call_soon(self._end)
        elif post is not None and post.audience == audience and len(post.messages) < MAX_POST:
            post.messages.append(message)
            post.size += size
        else:
            self.share_out()
            for each in audience:
                each.put(message)

    def share_out(self) -> None:
        """Put what was said where it goes, since something else comes after it."""
        post, self.post = self.post, None
        if post is not None:
            for message in post.messages:
                for each in post.audience:
                    each.put(message)

    def add(self, each: Outlet[Any]) -> None:
        """Have it flushed at the end."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._end)
        self._waiting.append(each)

    def _end(self) -> None:
        post, self.post = self.post, None
        messages, size = (post.messages, post.size) if post is not None else ([], 0)
        outlets = iter(post.audience if post is not None else ())
        try:
            for each in outlets:
                each.put_all(messages, size)
            while self._waiting:
                self._waiting.popleft().flush()
        finally:  # when one of them failed, the others have not had their turn
            for each in outlets:
                for message in messages:
                    each.put(message)
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._end)
