"""A process knows whose it is, and does not outlive its supervisor."""

import asyncio
import multiprocessing
import os
import signal
from types import SimpleNamespace

import pytest
import uvicorn

from labkit.production.worker import end_with_the_supervisor, has_supervisor, owns_the_process
from labkit.testing.waiting import until


@pytest.fixture
def terminated():
    """Take SIGTERM for the test, and give it back."""
    told = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    yield told
    signal.signal(signal.SIGTERM, before)


async def test_a_test_is_nobodys_worker():
    """Nor a notebook: signals and logs stay with their owner."""
    assert not has_supervisor()
    assert not owns_the_process()
    with end_with_the_supervisor():
        pass


async def test_a_process_whose_signals_are_uvicorns_is_its_own(terminated):
    """In its main thread: nobody else gets signals."""
    signal.signal(signal.SIGTERM, uvicorn.Server(uvicorn.Config("nothing:here")).handle_exit)
    assert owns_the_process()
    assert not await asyncio.to_thread(owns_the_process)


async def test_a_supervisor_that_is_gone_is_a_sigterm(terminated, monkeypatch):
    """Once, and not before."""
    alive, supervisor = os.pipe()
    parent = SimpleNamespace(sentinel=alive)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)
    assert has_supervisor()
    with end_with_the_supervisor():
        await asyncio.sleep(0)
        assert terminated == []
        os.close(supervisor)
        await until(lambda: terminated)
        await asyncio.sleep(0)
    assert terminated == [signal.SIGTERM]
    os.close(alive)
