"""Tests from cells run in a real pytest, and one that hangs harms nothing but itself."""

import pytest

from labkit.testing.leftovers import Census
from labkit.workbench.pytestrun import PytestHost

APP = """
manager, router = Manager(), Router()
add_subscriptions(router, manager, may_subscribe=lambda connection, topic: True)


@contextlib.asynccontextmanager
async def lifespan(app):
    async with EventBus() as bus:
        bus.subscribe("flag", lambda _, name: manager.publish("flags", encode("flag", name=name)))
        app.state.bus = bus
        yield


app = FastAPI(lifespan=lifespan)


@app.put("/flags/{name}")
async def put(name: str):
    app.state.bus.publish("flag", name)


@app.websocket("/ws")
async def ws(websocket: WebSocket):
    await Session(websocket=websocket, manager=manager, on_text=router).run()


@app.websocket("/leaves")
async def leaves(websocket: WebSocket):
    await websocket.accept()
"""


async def test_a_flag_reaches_its_listener(serve, join):
    server = await serve(app, empty=[manager])  # noqa: F821 - names of the file it is written to
    ada = await join(server, name="ada")
    await ada.send({"type": "subscribe", "topic": "flags"})
    await ada.receive_until("ok")
    async with httpx.AsyncClient() as http:  # noqa: F821
        await http.put(f"{server.url}/flags/dark-mode")
    *_, change = await ada.receive_until("flag")
    assert change["name"] == "dark-mode"


def test_testclient_waits():
    with TestClient(app).websocket_connect("/leaves") as websocket:  # noqa: F821
        websocket.receive_json()


def test_red():
    given = {"type": "pong"}
    assert given == {"type": "ping"}


async def test_silence(serve, join):
    ada = await join(await serve(app), name="ada")  # noqa: F821
    await ada.receive_until("pong", timeout_s=0.1)


@pytest.fixture
def number():
    return 42


def test_number(number):
    assert number == 42


FLAG, HANGS, RED, SILENT, NUMBER = (
    test_a_flag_reaches_its_listener,
    test_testclient_waits,
    test_red,
    test_silence,
    test_number,
)
FIXTURE = number
del test_a_flag_reaches_its_listener, test_testclient_waits, test_red, test_silence, test_number
del number


@pytest.fixture(scope="module")
def anyio_backend():
    """Let the host live as long as this module."""
    return "asyncio"


@pytest.fixture(scope="module")
async def host(anyio_backend):
    host = PytestHost.start()
    yield host
    await host.aclose()


async def test_a_test_from_the_event_to_the_frame(host):
    """A file made of functions of a cell finds its names and its fixtures, and is green."""
    run = await host.run(APP, FLAG)
    assert run.green
    assert str(run.outcomes[0].name) == "test_a_flag_reaches_its_listener"


async def test_a_test_that_does_nothing_is_ended(host):
    """TestClient waits for ever after its handler has returned; what comes after never ran."""
    run = await host.run(APP, HANGS, "def test_after():\n    pass", idle_s=0.3)
    assert [each.outcome for each in run.outcomes] == ["hung", "never ran"]
    assert not run.green


async def test_a_failure_says_why_in_one_line(host):
    """The same line on every run: no addresses, no ports, no names of modules."""
    run = await host.run(APP, RED, SILENT)
    red, silent = run.outcomes
    assert red.why == "AssertionError: assert {'type': 'pong'} == {'type': 'ping'}"
    assert silent.why == "Silence: ada waited 0.1 s for 'pong', and heard nothing"
    assert "✗ failed" in str(run)


async def test_fixtures_of_a_cell_are_written_with_their_decorator(host):
    """A fixture is an object for pytest; its source is found all the same."""
    assert (await host.run(FIXTURE, NUMBER)).green


async def test_a_file_that_cannot_be_read_is_an_error(host):
    """It is not taken for a suite without tests."""
    run = await host.run("import nowhere_to_be_found")
    assert run["the file"].outcome == "error"
    assert "nowhere_to_be_found" in run["the file"].why
    assert not run.green


async def test_no_plugin_for_async_tests_can_be_asked_for(host):
    """Then pytest says what it says to everybody."""
    run = await host.run("async def test_it():\n    pass", auto=False)
    assert run["test_it"].why == "async def functions are not natively supported."


async def test_nothing_of_a_host_is_left():
    """Neither a process nor a task, when it is closed before it is warm."""
    census = Census()
    host = PytestHost.start()
    await host.aclose()
    await host.aclose()
    assert not await census.leftovers()
