"""Two real workers and a real broker, killed, restarted and replaced under people who stay."""

import asyncio
import contextlib
import json
import signal

import httpx
import psutil
import pytest

from labkit.testing.clients import SSEClient, WebSocketClient
from labkit.testing.outcomes import Disconnected, Rejected, Silence, Unreachable
from labkit.testing.process import ServerProcess
from labkit.testing.valkey import ValkeyServer
from labkit.testing.waiting import until

START_S = 60.0  # of two processes that import everything, on a busy machine
PATIENCE_S = 90.0
CROWD = 100  # of each kind
BACK_S = 0.2
AWAY = (Disconnected, Rejected, Silence, Unreachable)
SETTINGS = {
    "LABKIT_SECRET": "chaos" * 8,
    "LABKIT_MAX_PER_ADDRESS": "1000",
    "LABKIT_MAX_PER_USER": "1000",
    "LABKIT_LOGINS": "10000/minute",
    "LABKIT_POSTS": "100000/minute",
    "LABKIT_SPREAD_S": "0.5",
    "LABKIT_POLITE_S": "1",
    "LABKIT_REDIS_TIMEOUT_S": "1",
    "LABKIT_HISTORY_EVENTS": "1000",
    "LABKIT_LOG_LEVEL": "error",
}

pytestmark = pytest.mark.timeout(360)


@pytest.fixture(scope="module")
def broker():
    with ValkeyServer() as server:
        yield server


@pytest.fixture(scope="module")
def service(broker):
    """`labkit serve` with two workers, for all tests of this file."""
    command = ["-m", "labkit.workbench.cli", "serve", "--port", "{port}", "--workers", "2"]
    process = ServerProcess(command, start_timeout_s=START_S)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (SETTINGS | {"LABKIT_REDIS_URL": broker.url}).items():
            environment.setenv(name, value)
        asyncio.run(process.start())
    try:
        asyncio.run(until(lambda: process.lines, timeout_s=START_S))  # says that all are ready
        yield process
    finally:
        asyncio.run(process.aclose())


def workers(service):
    """Return the workers that live."""
    found = []
    for child in psutil.Process(service.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


class Person:
    """Stays: comes back with the last position, and writes down what came."""

    def __init__(self, service, token, topic):
        self.service = service
        self.headers = {"authorization": f"Bearer {token}"}
        self.topic = topic
        self.heard = []
        self.gaps = 0
        self.visits = 0
        self.position = None
        self.port = 0
        self.here = False

    async def stay(self):
        """Until cancelled."""
        while True:
            with contextlib.suppress(*AWAY):
                await self.visit()
            self.here = False
            await asyncio.sleep(BACK_S)

    def hear(self, data):
        self.heard.append(data["text"])


class OnSocket(Person):
    """By WebSocket."""

    async def visit(self):
        url = f"{self.service.ws_url}/ws"
        socket = await WebSocketClient.connect(
            url, headers=self.headers, subprotocols=["lab.v1"], timeout_s=PATIENCE_S
        )
        self.port = socket.connection.transport.get_extra_info("sockname")[1]
        try:
            after = {} if self.position is None else {"after": self.position}
            await socket.send({"type": "subscribe", "topic": self.topic} | after)
            while True:
                message = await socket.receive_json()
                if message["type"] == "ok":
                    self.visits += 1
                    self.here = True
                    self.gaps += message.get("recovered") is False
                    if self.position is None or message.get("recovered") is False:
                        self.position = message["at"]
                elif message["type"] == "event":
                    self.position = message["at"]
                    self.hear(message["data"])
                elif message["type"] == "gap":
                    self.position = message["at"]
                    self.gaps += 1
        finally:
            await socket.close()


class OnStream(Person):
    """By event stream."""

    async def visit(self):
        url = f"{self.service.url}/events?topic={self.topic}"
        stream = await SSEClient.connect(
            url, headers=self.headers, last_event_id=self.position, timeout_s=PATIENCE_S
        )
        network = stream._response.extensions["network_stream"]
        self.port = network.get_extra_info("client_addr")[1]
        try:
            self.visits += stream.status == 200
            self.here = stream.status == 200
            while True:
                event = await stream.next()
                if event.event == "gap":
                    self.gaps += 1
                elif event.event is None:
                    self.hear(json.loads(event.data)["data"])
        finally:
            self.position = stream.last_event_id or self.position
            await stream.close()


class Publisher:
    """Says things, each again until it is confirmed."""

    def __init__(self, service, token, topic):
        self.topic = topic
        self.repeated = 0
        self.http = httpx.AsyncClient(
            base_url=service.url, trust_env=False, headers={"authorization": f"Bearer {token}"}
        )

    async def say(self, *texts):
        for text in texts:
            while not await self.attempt(text):
                self.repeated += 1
                await asyncio.sleep(BACK_S)

    async def attempt(self, text):
        said = {"topic": self.topic, "text": text, "id": text}
        try:
            return (await self.http.post("/publish", json=said)).status_code == 200
        except httpx.TransportError:
            return False


@contextlib.asynccontextmanager
async def crowd(service, topic, sockets, streams):
    """Yield people who stay, at both workers, and a publisher."""
    async with httpx.AsyncClient(base_url=service.url, trust_env=False) as http:
        token = (await http.post("/login", json={"user": "chaos"})).json()["token"]
    people = [OnSocket(service, token, topic) for _ in range(sockets)]
    people += [OnStream(service, token, topic) for _ in range(streams)]
    publisher = Publisher(service, token, topic)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.stay()) for each in people]
        await until(lambda: all(each.here for each in people), timeout_s=PATIENCE_S)
        while len(set(served_by(service, people))) < 2:  # the kernel does not deal them out fairly
            people.append(OnSocket(service, token, topic))
            tasks.append(group.create_task(people[-1].stay()))
            await until(lambda: people[-1].here, timeout_s=PATIENCE_S)
        try:
            yield people, publisher
        finally:
            for task in tasks:
                task.cancel()
            await publisher.http.aclose()


async def all_heard(people, texts):
    """Wait until everyone has everything; then nobody has anything twice."""
    await until(lambda: all(len(each.heard) >= len(texts) for each in people), timeout_s=PATIENCE_S)
    assert {tuple(each.heard) for each in people} == {tuple(texts)}


def served_by(service, people):
    """Return which worker each of the people on sockets is connected to."""
    ports = {
        connection.raddr.port: worker.pid
        for worker in workers(service)
        for connection in worker.net_connections("tcp4")
        if connection.raddr
    }
    return [ports[each.port] for each in people]


async def test_forty_of_forty_reach_people_at_both_workers(service):
    """In order, once, whichever worker took them in."""
    texts = [f"n{n}" for n in range(40)]
    async with crowd(service, "room:forty", 16, 16) as (people, publisher):
        await publisher.say(*texts)
        await all_heard(people, texts)
        assert sum(each.gaps for each in people) == 0


async def test_a_killed_worker_is_replaced_and_its_people_catch_up(service):
    """Those at the other worker notice nothing."""
    texts = [f"n{n}" for n in range(40)]
    async with crowd(service, "room:kill", 12, 4) as (people, publisher):
        before = dict(zip(people, served_by(service, people), strict=True))
        victim = before[people[0]]
        await publisher.say(*texts[:20])
        psutil.Process(victim).kill()
        await publisher.say(*texts[20:])
        await all_heard(people, texts)
        assert {each.visits for each, pid in before.items() if pid != victim} == {1}
        assert {each.visits for each, pid in before.items() if pid == victim} == {2}
        assert sum(each.gaps for each in people) == 0
        await until(lambda: len(workers(service)) == 2, timeout_s=START_S)
        assert victim not in [each.pid for each in workers(service)]


async def test_a_rolling_restart_under_two_hundred_people_loses_nothing(service):
    """SIGHUP: no id is missing, none comes twice, every worker is new."""
    async with crowd(service, "room:rolling", CROWD, CROWD) as (people, publisher):
        before = {each.pid for each in workers(service)}
        said = []
        service.signal(signal.SIGHUP)
        async with asyncio.timeout(START_S):
            while before & {each.pid for each in workers(service)} or len(workers(service)) != 2:
                said.append(f"n{len(said)}")
                await publisher.say(said[-1])
                await asyncio.sleep(0.05)
        said.append("last")
        await publisher.say(said[-1])
        await all_heard(people, said)
        assert min(each.visits for each in people) >= 2
        assert sum(each.gaps for each in people) == 0


async def test_forty_of_forty_across_an_outage_of_the_broker_and_the_gap_is_told(service, broker):
    """It comes back empty: everybody is told once, and has everything that was confirmed since."""
    texts = [f"n{n}" for n in range(40)]
    async with crowd(service, "room:outage", 16, 16) as (people, publisher):
        await publisher.say(*texts[:10])
        await all_heard(people, texts[:10])
        broker.kill()
        async with httpx.AsyncClient(base_url=service.url, trust_env=False) as http:
            async with asyncio.timeout(PATIENCE_S):
                while (await http.get("/readyz")).status_code != 503:
                    await asyncio.sleep(0.05)
            assert not await publisher.attempt(texts[10])
            broker.start()
            await publisher.say(*texts[10:])
        await all_heard(people, texts)
        assert {each.gaps for each in people} == {1}
        assert {each.visits for each in people} == {1}
