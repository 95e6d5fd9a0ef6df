"""Events inside one process, so that who causes something need not know who cares.

The promises: publishing never waits for a handler and cannot be undone by cancelling the
publisher; a handler's error is logged with its name, counted, and stays its own; each handler
sees events in order, in a copy of its own; nothing waits without a bound.

Chapter 1. For events between processes, chapter 3's broker.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Self

logger = logging.getLogger(__name__)

EventHandler = Callable[[str, Any], Awaitable[None] | None]


class Subscription:
    """One handler of one event, made by `EventBus.subscribe`.

    Attributes:
        delivered: events that the handler finished.
        errors: events on which it raised or ran out of time.
        dropped: events it was too slow for.
    """

    def __init__(self, event: str, handler: EventHandler, max_waiting: int) -> None:
        self.event = event
        self.handler = handler
        self.delivered = self.errors = self.dropped = 0
        self._queue: asyncio.Queue[Any] = asyncio.Queue(max_waiting)
        self.task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        counts = f"{self.delivered} delivered, {self.errors} errors, {self.dropped} dropped"
        return f"<{self.name} on {self.event}: {counts}>"

    @property
    def name(self) -> str:
        """What logs call the handler."""
        return getattr(self.handler, "__qualname__", type(self.handler).__name__)

    def cancel(self) -> None:
        """End the subscription: the handler hears nothing more. Idempotent."""
        if self.task is not None:
            self.task.cancel()

    def put(self, data: Any) -> None:  # noqa: ANN401 - the application's own
        """Queue one event; when the queue is full, its oldest event makes room."""
        if self._queue.full():
            self._take()
            self.dropped += 1
        self._queue.put_nowait(data)

    async def join(self) -> None:
        """Wait until the handler has seen everything queued so far."""
        await self._queue.join()

    async def run(self, timeout_s: float) -> None:
        """Call the handler, event by event, until cancelled."""
        try:
            while True:
                data = await self._queue.get()
                try:
                    await self._call(data, timeout_s)
                finally:
                    self._queue.task_done()
        finally:
            while not self._queue.empty():
                self._take()

    def _take(self) -> None:
        self._queue.get_nowait()
        self._queue.task_done()

    async def _call(self, data: Any, timeout_s: float) -> None:  # noqa: ANN401 - as published
        try:
            result = self.handler(self.event, data)
            if inspect.isawaitable(result):
                async with asyncio.timeout(timeout_s):
                    await result
        except Exception:
            self.errors += 1
            logger.exception("%s failed on %s", self.name, self.event)
        else:
            self.delivered += 1


class EventBus:
    """A publish/subscribe bus for one event loop; use it as an async context manager.

    Args:
        max_waiting: events that may wait for one handler; then the oldest is dropped.
        timeout_s: seconds that an asynchronous handler may take for one event. A handler that
            blocks the loop cannot be stopped by anyone.
    """

    def __init__(self, *, max_waiting: int = 1000, timeout_s: float = 10.0) -> None:
        self.max_waiting = max_waiting
        self.timeout_s = timeout_s
        self._subscriptions: dict[str, dict[EventHandler, Subscription]] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        """Let the handlers finish what was published, unless an error leaves, then end them."""
        subscriptions = [each for group in self._subscriptions.values() for each in group.values()]
        try:
            if error is None:
                for subscription in subscriptions:
                    await subscription.join()
        finally:
            for subscription in subscriptions:
                subscription.cancel()
            await self._tasks.__aexit__(None, None, None)  # the error goes on as it is

    def subscribe(self, event: str, handler: EventHandler) -> Subscription:
        """Call `handler(event, data)` for every `event` from now on.

        Subscribing a handler again to the same event returns the subscription it has.

        Raises:
            TypeError: the handler is not callable.
        """
        if not callable(handler):
            raise TypeError(f"handler is a {type(handler).__name__}: pass a function or a method")
        group = self._subscriptions.setdefault(event, {})
        if handler not in group:
            subscription = group[handler] = Subscription(event, handler, self.max_waiting)
            subscription.task = self._tasks.create_task(subscription.run(self.timeout_s))
            subscription.task.add_done_callback(lambda _: self._forget(subscription))
        return group[handler]

    def publish(self, event: str, data: Any = None) -> int:  # noqa: ANN401 - the application's own
        """Hand `data` to every handler of `event`, each with a deep copy. Waits for none.

        Returns:
            How many handlers will see it.
        """
        group = self._subscriptions.get(event, {})
        for subscription in group.values():
            subscription.put(copy.deepcopy(data))
        return len(group)

    def _forget(self, subscription: Subscription) -> None:
        group = self._subscriptions[subscription.event]
        group.pop(subscription.handler, None)
        if not group:
            del self._subscriptions[subscription.event]
