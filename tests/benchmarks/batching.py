"""Batches: what a lonely message waits, how many frames a burst is, what piles up."""

import asyncio
import statistics
import time
from collections import deque

from labkit.architecture import encode
from labkit.performance import Batcher


class Frames:
    """Takes what is sent, and notes when."""

    def __init__(self):
        self.messages = self.count = 0
        self.when = []

    def send(self, outgoing):
        """Count a frame, and the messages in it."""
        self.count += 1
        self.messages += outgoing.payload.count('"n":')
        self.when.append(time.monotonic())
        return True


class Timed:
    """The guide's: a list, and a task that wakes every 0.1 s and takes ten."""

    def __init__(self, send):
        self.waiting, self._send = deque(), send
        self._task = asyncio.create_task(self._run())

    def put(self, message):
        """Let it wait."""
        self.waiting.append(message)

    async def _run(self):
        while True:
            await asyncio.sleep(0.1)
            taken = [self.waiting.popleft() for _ in range(min(10, len(self.waiting)))]
            if taken:
                self._send(encode("batch", messages=[each.payload for each in taken]))

    def close(self):
        """End the task."""
        self._task.cancel()


def by_guide(frames):
    """Make the guide's."""
    return Timed(lambda outgoing: frames.send(_Counted(outgoing.payload.count('\\"n\\":'))))


class _Counted:
    """A frame of so many messages."""

    def __init__(self, count):
        self.payload = '"n":' * count


def by_labkit(frames):
    """Make ours, with at most 10 ms of waiting."""
    return Batcher(frames.send, max_wait_s=0.01)


async def run(bench):
    """Send messages one by one, then a thousand at 1000 a second; wait at most two seconds."""
    alone, burst = (2, 20) if bench.small else (20, 1000)
    rows = []
    for name, make in (("guide", by_guide), ("labkit", by_labkit)):
        frames = Frames()
        batches = make(frames)
        waits = [await lonely(batches, frames) for _ in range(alone)]
        frames.count = frames.messages = 0
        for n in range(burst):
            batches.put(encode("n", n=n))
            await asyncio.sleep(0.001)
        await settled(frames, burst, 0.05 if bench.small else 2)
        batches.close()
        late = burst - frames.messages
        rows.append([name, f"{statistics.median(waits):.2f}", str(frames.count), str(late)])
    head = ["", "alone, ms", "frames", "still waiting"]
    bench.table(f"a message alone, and {burst} at up to 1000 a second", head, rows)


async def lonely(batches, frames):
    """Return after how many milliseconds a single message leaves."""
    seen, began = len(frames.when), time.monotonic()
    batches.put(encode("n", n=0))
    async with asyncio.timeout(2):
        while len(frames.when) == seen:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.03)
    return 1000 * (frames.when[seen] - began)


async def settled(frames, count, timeout_s):
    """Wait until so many messages have left, or no longer."""
    end = time.monotonic() + timeout_s
    while frames.messages < count and time.monotonic() < end:
        await asyncio.sleep(0.005)
