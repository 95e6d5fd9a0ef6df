"""A process among others: whose it is, and what becomes of it when its supervisor dies.

Chapter 12. uvicorn's workers are made by `multiprocessing`, and do not notice that.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn


def has_supervisor() -> bool:
    """Whether somebody started this process as one of several."""
    return multiprocessing.parent_process() is not None


@contextmanager
def end_with_the_supervisor() -> Iterator[None]:
    """Drain when the process that started this one is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(parent.sentinel)
        signal.raise_signal(signal.SIGTERM)

    loop.add_reader(parent.sentinel, end)
    try:
        yield
    finally:
        loop.remove_reader(parent.sentinel)


def owns_the_process() -> bool:
    """Whether uvicorn runs the process, and not a notebook or a test: signals and logs are ours."""
    if threading.current_thread() is not threading.main_thread():
        return False
    handler = signal.getsignal(signal.SIGTERM)
    return isinstance(getattr(handler, "__self__", None), uvicorn.Server)
