"""What we rely on in libraries. Red here means: a lesson has to change."""

import asyncio
import json

import pytest
import stamina
import tenacity
from circuitbreaker import CircuitBreaker
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic_core import from_json
from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks

from labkit.testing.clients import WebSocketClient
from labkit.testing.faults import reset
from labkit.testing.server import LiveServer


async def after_a_reset(ask):
    """Let a client vanish, call `ask(websocket)` 100 times; return the errors and free turns."""
    done = asyncio.get_running_loop().create_future()
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        errors, turns = [], 0
        with pytest.raises(WebSocketDisconnect):
            await websocket.receive_text()

        def turn():
            nonlocal turns
            turns += 1

        for _ in range(100):
            asyncio.get_running_loop().call_soon(turn)
            try:
                await ask(websocket)
            except Exception as error:  # noqa: BLE001 - as the guide does
                errors.append(type(error).__name__)
        done.set_result((errors, turns))

    async with LiveServer(app) as server, asyncio.timeout(5):
        reset(await WebSocketClient.connect(f"{server.ws_url}/ws"))
        return await done


async def test_receiving_after_a_disconnect_raises_without_suspending():
    """A loop that catches it never lets anyone else run: not a task, not a signal."""
    errors, turns = await after_a_reset(lambda websocket: websocket.receive_text())
    assert errors == ["WebSocketDisconnected"] * 100
    assert turns == 0


async def test_sending_after_a_disconnect_fails_for_ever():
    """The first send says that the peer left, every later one that it is closed."""
    errors, turns = await after_a_reset(lambda websocket: websocket.send_text("hello"))
    assert errors == ["WebSocketDisconnect"] + ["WebSocketDisconnected"] * 99
    assert turns == 0


def test_json_reads_what_it_cannot_send():
    """The standard library parses half a character, which UTF-8 cannot hold; pydantic refuses."""
    text = json.loads('"\\ud800"')
    with pytest.raises(UnicodeEncodeError):
        json.dumps(text, ensure_ascii=False).encode()
    with pytest.raises(ValueError, match="hex escape"):
        from_json('"\\ud800"')


async def test_stamina_jitters_before_the_cap():
    """Once the cap is reached, every process waits the same."""
    waits = []
    before = get_on_retry_hooks()
    set_on_retry_hooks([lambda details: waits.append(round(details.wait_for, 6))])
    try:
        async for attempt in stamina.retry_context(
            on=OSError, attempts=5, wait_initial=0.002, wait_max=0.002, wait_jitter=1
        ):
            with attempt:
                if attempt.num < 5:
                    raise OSError
    finally:
        set_on_retry_hooks(before)
    assert waits == [0.002] * 4


async def test_stamina_lets_a_hanging_attempt_hang():
    """Its timeout is looked at between attempts only."""
    call = stamina.AsyncRetryingCaller(timeout=0.01)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await call(ConnectionError, asyncio.Event().wait)


async def test_tenacity_retries_every_error_and_hides_it():
    """Without `retry=` and `reraise=` a bug is tried three times and comes out as another."""
    calls = 0

    @tenacity.retry(stop=tenacity.stop_after_attempt(3))
    async def bug():
        nonlocal calls
        calls += 1
        raise TypeError

    with pytest.raises(tenacity.RetryError):
        await bug()
    assert calls == 3


async def test_tenacitys_exponential_wait_has_no_jitter():
    """All who failed together come back together."""
    wait = tenacity.wait_exponential(multiplier=1, min=1, max=10)
    state = tenacity.RetryCallState(tenacity.AsyncRetrying(), None, (), {})
    state.attempt_number = 3
    assert {wait(state) for _ in range(100)} == {4}


async def swallowed(call):
    """Await it, whatever it raises."""
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - the error is the outcome
        return error


async def test_circuitbreaker_takes_a_timeout_for_a_success():
    """One cancelled call wipes the failures before it."""
    breaker = CircuitBreaker(failure_threshold=3, recovery_timeout=60, name="cancel")

    @breaker
    async def call(*, hang):
        if hang:
            await asyncio.Event().wait()
        raise ConnectionError

    for _ in range(2):
        await swallowed(call(hang=False))
    assert breaker.failure_count == 2
    await swallowed(asyncio.wait_for(call(hang=True), 0.01))
    assert breaker.failure_count == 0


async def test_circuitbreaker_half_open_lets_everyone_through():
    """There is no probe: all fifty reach the destination."""
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=0.05, name="herd")
    reached = 0

    @breaker
    async def call():
        nonlocal reached
        reached += 1
        await asyncio.sleep(0)
        raise ConnectionError

    await swallowed(call())
    async with asyncio.timeout(5):
        while breaker.state != "half_open":
            await asyncio.sleep(0.005)
    reached = 0
    await asyncio.gather(*[swallowed(call()) for _ in range(50)])
    assert reached == 50


async def test_circuitbreaker_never_opens_at_four_failures_of_five():
    """Only failures in a row count."""
    breaker = CircuitBreaker(failure_threshold=5, recovery_timeout=60, name="rate")

    @breaker
    async def call(number):
        if number % 5 != 4:
            raise ConnectionError

    for number in range(500):
        await swallowed(call(number))
    assert breaker.state == "closed"


async def test_circuitbreaker_tells_the_cause_to_everyone():
    """Its error repeats what the destination said, passwords included."""
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=60, name="text")

    @breaker
    async def call():
        raise ConnectionError("postgresql://app:hunter2@db refused")

    await swallowed(call())
    assert "hunter2" in str(await swallowed(call()))
