"""Work on messages beside the reader: in order where order matters, in parallel where not.

The promises: jobs of one key are done one after the other, in the order in which they were put,
and other keys do not wait for them; what waits is bounded, and one too many is told so at once;
a job that fails, hangs or cancels itself is reported and harms no other; at the end nothing is
lost without a word: `accepted == done + failed + dropped`.

Chapter 7. What is lost with the process is lost: for more than that, take a queue on a disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Self, TypeVar

logger = logging.getLogger(__name__)

Job = TypeVar("Job")


def log_failure(job: object, error: BaseException) -> None:
    """Log a failed job with its traceback, but not with what it holds."""
    logger.error("a %s job failed", type(job).__name__, exc_info=error)


class Workers(Generic[Job]):
    """A lane for each key, and so many jobs at once. Use it as an async context manager.

    A lane has a task while it has jobs, and is gone afterwards. After each job it goes to the
    end of the line, so who sends a thousand jobs does not keep the others waiting.

    Args:
        handle: does one job.
        count: how many at once.
        max_waiting: how many may wait, all lanes together.
        timeout_s: for one job.
        drain_s: on leaving, how long the jobs that were accepted may still take.
        on_failed: told of each job that raised or took too long: answer the client, keep the job.

    Raises:
        ValueError: a number is not positive; the message names it.

    Attributes:
        accepted, refused: what `put` said.
        waiting: how many accepted jobs have not begun.
        done, failed, dropped: what became of the accepted ones.
    """

    def __init__(
        self,
        handle: Callable[[Job], Awaitable[None]],
        *,
        count: int = 10,
        max_waiting: int = 1000,
        timeout_s: float = 10.0,
        drain_s: float = 5.0,
        on_failed: Callable[[Job, BaseException], None] = log_failure,
    ) -> None:
        for name, value in (
            ("count", count),
            ("max_waiting", max_waiting),
            ("timeout_s", timeout_s),
        ):
            if value <= 0:
                raise ValueError(f"{name} is {value}: it must be more than 0")
        self._handle = handle
        self._max_waiting = max_waiting
        self._timeout_s = timeout_s
        self._drain_s = drain_s
        self._on_failed = on_failed
        self._lanes: dict[Hashable, deque[Job]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(count)
        self._tasks = asyncio.TaskGroup()
        self._open = False
        self.accepted = self.refused = self.waiting = 0
        self.done = self.failed = self.dropped = 0

    def put(self, key: Hashable, job: Job) -> bool:
        """Accept a job, to be done after those that `key` has put before. Never waits.

        Returns:
            False when too many wait, or when it is closed: tell the client `busy`.
        """
        if not self._open or self.waiting >= self._max_waiting:
            self.refused += 1
            return False
        self.accepted += 1
        self.waiting += 1
        if key in self._lanes:
            self._lanes[key].append(job)
        else:
            lane = self._lanes[key] = deque([job])
            task = self._tasks.create_task(self._work(key, lane))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return True

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._open = True
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        """Accept no more, finish what was accepted, drop what is left after `drain_s`."""
        self._open = False
        try:
            if self._running and error is None:
                await asyncio.wait(self._running, timeout=self._drain_s)
        finally:
            for task in self._running:
                task.cancel()
            await self._tasks.__aexit__(None, None, None)  # the error goes on as it is
            self.dropped += self.waiting  # a lane that was cancelled before its first step, too
            self.waiting = 0
            self._lanes.clear()

    async def _work(self, key: Hashable, lane: deque[Job]) -> None:
        while lane:
            async with self._slots:
                self.waiting -= 1
                await self._do(lane.popleft())
        del self._lanes[key]

    async def _do(self, job: Job) -> None:
        """Do one job; every end of it but our own cancellation is the job's affair."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._handle(job)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                self.dropped += 1
                raise
            self._report(job, error)  # something inside was cancelled, not this lane
        except Exception as error:  # noqa: BLE001 - reported, whatever it is
            self._report(job, error)
        else:
            self.done += 1

    def _report(self, job: Job, error: BaseException) -> None:
        self.failed += 1
        try:
            self._on_failed(job, error)
        except Exception:
            logger.exception("on_failed itself failed")
