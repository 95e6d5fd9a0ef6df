"""A dependency that fails on command, seen by a real HTTP client."""

import asyncio

import httpx
import pytest

from labkit.testing.flaky import Flaky, Mood


@pytest.fixture
async def ask():
    """Return a service and a function that asks it once."""
    async with Flaky() as service, httpx.AsyncClient(timeout=5) as client:
        yield service, lambda **options: client.get(service.url, **options)


async def test_it_answers(ask):
    """Until told otherwise it is a good service."""
    service, get = ask
    answer = await get()
    assert (answer.status_code, answer.json(), service.calls) == (200, {"rate": 1.25}, 1)


async def test_it_fails_with_503(ask):
    """An honest failure."""
    service, get = ask
    service.mood = Mood.FAIL
    assert (await get()).status_code == 503


async def test_it_lies_with_200(ask):
    """The status is good and the body is a page."""
    service, get = ask
    service.mood = Mood.LIE
    answer = await get()
    assert answer.is_success
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


async def test_it_dies_without_an_answer(ask):
    """The caller sees a broken connection, and the call is counted."""
    service, get = ask
    service.mood = Mood.DIE
    with pytest.raises(httpx.TransportError):
        await get()
    assert service.calls == 1


async def test_it_hangs_until_the_caller_gives_up(ask):
    """It knows how many it holds."""
    service, get = ask
    service.mood = Mood.HANG
    with pytest.raises(httpx.ReadTimeout):
        await get(timeout=0.1)
    async with asyncio.timeout(5):
        while service.hanging:
            await asyncio.sleep(0.005)
    assert service.calls == 1


async def test_a_script_comes_before_the_mood(ask):
    """One mood a request, then the usual one again."""
    service, get = ask
    service.play([Mood.FAIL, Mood.LIE])
    answers = [await get() for _ in range(3)]
    assert [each.status_code for each in answers] == [503, 200, 200]
    assert answers[2].json() == {"rate": 1.25}


async def test_it_stops_while_it_hangs():
    """Whoever waits is let go, nothing is left, and stopping twice is fine."""
    service = await Flaky(Mood.HANG).start()
    before = asyncio.all_tasks()
    async with httpx.AsyncClient(timeout=5) as client:
        call = asyncio.ensure_future(client.get(service.url))
        async with asyncio.timeout(5):
            while not service.hanging:
                await asyncio.sleep(0.005)
        await service.aclose()
        await service.aclose()
        with pytest.raises(httpx.TransportError):
            await call
    assert asyncio.all_tasks() == before
    with pytest.raises(RuntimeError, match="not started"):
        _ = service.url
