"""A transport that a test can fill and empty at will."""

import asyncio

import pytest

from labkit.architecture import Backlog, Outbox


class Pipe:
    """A `send` that suspends while the pipe is full, as a server's does."""

    def __init__(self):
        self.got = []
        self.writable = asyncio.Event()
        self.writable.set()
        self.error = None

    async def send(self, message):
        await self.writable.wait()
        if self.error is not None:
            raise self.error
        self.got.append(message.payload)


class Harness:
    """An outbox on a pipe, with everything it spawned and every failure it told."""

    def __init__(self, backlog=None, write_timeout_s=5.0):
        self.pipe = Pipe()
        self.tasks = []
        self.failures = []
        self.outbox = Outbox(
            self.pipe.send,
            spawn=self.spawn,
            on_fail=lambda code, reason: self.failures.append((int(code), reason)),
            backlog=Backlog() if backlog is None else backlog,
            write_timeout_s=write_timeout_s,
        )

    def spawn(self, function, *arguments):
        self.tasks.append(asyncio.ensure_future(function(*arguments)))

    async def settle(self):
        """Wait for the drain tasks to end."""
        async with asyncio.timeout(5):
            await asyncio.gather(*self.tasks)


@pytest.fixture
def harness():
    """Return the class: an outbox needs a running loop."""
    return Harness
