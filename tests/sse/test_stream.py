"""An event stream on real sockets: how it starts, what it carries, every way it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request
from sse_starlette.sse import AppStatus

from labkit.architecture.backlog import Overflow
from labkit.sse import (
    BrokerUnavailableError,
    MemoryBroker,
    StreamOptions,
    StreamStats,
    ValkeyBroker,
    event_stream,
)
from labkit.testing.clients import SSEClient
from labkit.testing.server import LiveServer

SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/events",
    "query_string": b"topic=t",
    "headers": [],
}


class Site:
    """The six-line application of chapter 3, with all its parts in reach."""

    def __init__(self, broker=None, may_subscribe=lambda _topic: True, **options):
        self.broker = broker or MemoryBroker()
        self.stats = StreamStats()
        self.app = FastAPI()
        self.server = None

        @self.app.get("/events")
        async def events(request: Request):
            return event_stream(
                request,
                self.broker,
                request.query_params.getlist("topic"),
                options=StreamOptions(**options),
                may_subscribe=may_subscribe,
                stats=self.stats,
            )

    @asynccontextmanager
    async def running(self):
        async with LiveServer(self.app) as self.server:
            yield self

    @property
    def url(self):
        return self.server.url + "/events?topic=t"

    def errors(self):
        return [r.getMessage() for r in self.server.log if r.levelname == "ERROR"]


@pytest.fixture
async def site():
    async with Site().running() as site:
        yield site


@asynccontextmanager
async def not_reading(url):
    """Open a stream and read nothing of it, with a small receive buffer."""
    loop = asyncio.get_running_loop()
    address = urlsplit(url)
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(sock, (address.hostname, address.port))
        request = f"GET {address.path}?{address.query} HTTP/1.1\r\nHost: x\r\n\r\n"
        await loop.sock_sendall(sock, request.encode())
        yield sock


async def flood(site, condition):
    """Publish large events until the condition holds."""
    async with asyncio.timeout(30):
        while not condition():
            await site.broker.publish("t", "x" * 60_000)
            await asyncio.sleep(0.001)


async def test_published_events_arrive(site):
    """In order, with type, data and id."""
    async with await SSEClient.connect(site.url) as client:
        for number in range(20):
            await site.broker.publish("t", str(number), "tick")
        events = await client.take(20)
        assert [(event.event, event.data) for event in events] == [
            ("tick", str(number)) for number in range(20)
        ]
        assert client.last_event_id == str(site.broker.position)


async def test_the_response_is_an_event_stream_that_no_proxy_keeps(site):
    """Neither cached nor buffered on its way."""
    async with await SSEClient.connect(site.url) as client:
        assert client.status == 200
        assert client.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert client.headers["cache-control"] == "no-store"
        assert client.headers["x-accel-buffering"] == "no"


async def test_a_stream_begins_with_retry_and_position(site, eventually):
    """Before any event a client knows when and from where to come back."""
    async with await SSEClient.connect(site.url) as client:
        await eventually(lambda: client.last_event_id)
        assert client.raw == f"retry: 3000\n\nid: {site.broker.position}\n\n".encode()


async def test_a_stream_that_ends_is_counted_down(site, eventually):
    """The numbers settle: nothing open, all delivered."""
    async with await SSEClient.connect(site.url) as client:
        assert (site.stats.open, len(site.broker.subscriptions)) == (1, 1)
        await site.broker.publish("t", "x")
        await client.next()
    await eventually(lambda: site.stats == StreamStats(open=0, delivered=1))
    assert len(site.broker.subscriptions) == 0
    assert site.errors() == []


async def test_cleanup_runs_when_the_client_vanishes(site, eventually):
    """A reset without a farewell ends the stream as well."""
    async with await SSEClient.connect(site.url) as client:
        await eventually(lambda: client.last_event_id)
        client.abort()
        await eventually(lambda: site.stats.open == 0)
        assert len(site.broker.subscriptions) == 0
        assert site.errors() == []


async def test_cleanup_runs_when_the_client_stops_reading(eventually):
    """The send time-out ends the stream, is counted, and leaves no traceback."""
    async with Site(send_timeout_s=0.1, max_items=10_000, max_bytes=1 << 30).running() as site:
        async with not_reading(site.url):
            await eventually(lambda: site.stats.open == 1)
            await flood(site, lambda: site.stats.open == 0)
        assert site.stats.timed_out == 1
        assert len(site.broker.subscriptions) == 0
        assert [record for record in site.server.log if record.exc_info] == []


class Wire:
    """The server's side of one stream, without a server: what it sent, and when it may."""

    def __init__(self, **options):
        self.site = Site(**options)
        self.chunks, self.task_of = [], []
        self.writable, self.failure, self.leaving = asyncio.Event(), None, asyncio.Event()
        self.writable.set()

    async def send(self, message):
        await self.writable.wait()
        if self.failure:
            failure, self.failure = self.failure, None
            raise failure
        self.task_of.append(asyncio.current_task())
        self.chunks.append(message.get("body", b""))

    async def receive(self):
        await self.leaving.wait()
        return {"type": "http.disconnect"}

    @asynccontextmanager
    async def streaming(self):
        """Run it up to its first wait."""
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            self.task = tasks.create_task(self.site.app(SCOPE, self.receive, self.send))
            while len(self.chunks) < 3:  # headers, retry, position
                await asyncio.sleep(0)
            for _ in range(3):
                await asyncio.sleep(0)
            yield self
            self.leaving.set()

    async def publish(self, *data):
        for each in data:
            await self.site.broker.publish("t", each)

    @property
    def data(self):
        return [line for line in b"".join(self.chunks).split(b"\n") if line.startswith(b"data: ")]


async def test_a_client_that_reads_costs_no_wake_up():
    """Events of one turn are one chunk, sent at its end and outside any task."""
    async with Wire().streaming() as wire:
        await wire.publish("a", "b")
        assert len(wire.chunks) == 3
        await asyncio.sleep(0)
        assert wire.chunks[3].count(b"data: ") == 2
        assert wire.task_of[3] is None
        assert wire.site.stats.delivered == 2


async def test_what_was_begun_without_the_stream_is_finished_by_it(eventually):
    """A send that has to wait goes on in the stream's task, and the order stays."""
    async with Wire().streaming() as wire:
        wire.writable.clear()
        for n in range(5):
            await wire.publish(str(n))
            await asyncio.sleep(0)
        assert (wire.data, wire.site.stats.delivered) == ([], 0)
        wire.writable.set()
        await eventually(lambda: wire.site.stats.delivered == 5)
        assert wire.data == [b"data: %d" % n for n in range(5)]
        await wire.publish("5")
        await asyncio.sleep(0)
        assert (wire.data[5:], wire.task_of[-1]) == ([b"data: 5"], None)


async def test_a_send_that_fails_ends_the_stream():
    """Where it was begun does not matter: the stream's own task raises it."""
    wire = Wire()
    with pytest.raises(ExceptionGroup) as failed:
        async with wire.streaming():
            wire.failure = OSError("gone")
            await wire.publish("a")
            await wire.task
    assert failed.group_contains(OSError, match="gone")
    assert (wire.site.stats.open, wire.site.stats.delivered) == (0, 0)
    assert len(wire.site.broker.subscriptions) == 0


async def test_a_stream_is_cancelled_with_a_send_begun():
    """The send is cancelled with it, and nothing is left."""
    async with Wire().streaming() as wire:
        wire.writable.clear()
        await wire.publish("a")
        await asyncio.sleep(0)
        wire.task.cancel()
    assert wire.site.stats == StreamStats()
    assert len(wire.site.broker.subscriptions) == 0


async def test_streams_behind_a_middleware_with_a_task_of_its_own(eventually):
    """Starlette's `BaseHTTPMiddleware` carries each chunk over: all arrive, in order."""
    site = Site(keepalive_s=0.01)

    @site.app.middleware("http")
    async def passes(request, call_next):
        return await call_next(request)

    async with site.running(), await SSEClient.connect(site.url) as client:
        await eventually(lambda: client.comments > 2)
        for n in range(30):
            await site.broker.publish("t", str(n))
            if n % 3 == 0:
                await asyncio.sleep(0)
        assert [event.data for event in await client.take(30)] == [str(n) for n in range(30)]
        assert site.errors() == []


async def test_a_client_that_stops_reading_delays_nobody(eventually):
    """The one that reads gets everything while the other one is stuck."""
    patient = Site(send_timeout_s=30, max_items=4, overflow=Overflow.DROP_OLDEST)
    async with (
        patient.running() as site,
        not_reading(site.url),
        await SSEClient.connect(site.url) as reader,
    ):
        await eventually(lambda: site.stats.open == 2)
        for number in range(150):
            await site.broker.publish("t", f"{number} " + "x" * 60_000)
            assert (await reader.next()).data.startswith(f"{number} ")


async def test_cleanup_runs_when_the_server_stops():
    """Each client gets a goodbye with a time to come back, and a clean end."""
    async with Site(retry_ms=100).running() as site, await SSEClient.connect(site.url) as client:
        await site.broker.publish("t", "last words")
        await site.server.stop()
        last, goodbye = await client.take(2)
        assert last.data == "last words"
        assert (goodbye.event, json.loads(goodbye.data)) == ("goodbye", {"reason": "shutdown"})
        assert 100 <= goodbye.retry_ms <= 200
        assert await client.closed()
        assert site.stats.open == 0
        assert len(site.broker.subscriptions) == 0
        assert site.errors() == []


async def test_cleanup_runs_when_the_library_sees_the_shutdown(site):
    """Under `uvicorn` on the command line sse-starlette notices the signal: the same goodbye."""
    async with await SSEClient.connect(site.url) as client:
        AppStatus.should_exit = True
        try:
            assert (await client.next()).event == "goodbye"
            assert await client.closed()
        finally:
            AppStatus.should_exit = False  # it is process-wide and sticky
    assert site.stats.open == 0
    assert site.errors() == []


async def test_sigterm_says_goodbye_within_the_grace(tmp_path):
    """Under the real command line: a clean end for the client, and the process ends by itself."""
    (tmp_path / "site_of_one.py").write_text(
        "from fastapi import FastAPI, Request\n"
        "from labkit.sse import MemoryBroker, event_stream\n"
        "app, broker = FastAPI(), MemoryBroker()\n"
        "@app.get('/events')\n"
        "async def events(request: Request):\n"
        "    return event_stream(request, broker, ['t'], may_subscribe=bool)\n"
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", "site_of_one:app", "--log-level", "error"),
            *("--fd", str(listener.fileno()), "--timeout-graceful-shutdown", "20"),
            cwd=tmp_path,
            pass_fds=[listener.fileno()],
            stderr=asyncio.subprocess.PIPE,
        )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/events"
        try:
            async with await SSEClient.connect(url, timeout_s=20) as client:
                process.send_signal(signal.SIGTERM)
                assert (await client.next()).event == "goodbye"
                assert await client.closed()
            async with asyncio.timeout(15):  # less than the server's own deadline
                _, errors = await process.communicate()
            assert errors == b""
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_a_stalled_client_does_not_hold_up_the_stop(eventually):
    """The goodbye has a grace, not the power to block."""
    async with Site(send_timeout_s=60, grace_s=0.1, max_items=10_000).running() as site:
        async with not_reading(site.url):
            await eventually(lambda: site.stats.open == 1)
            await flood(
                site, lambda: any(s.ended or s._backlog.bytes for s in site.broker.subscriptions)
            )
            async with asyncio.timeout(15):
                await site.server.stop()
        assert site.stats.open == 0
        assert len(site.broker.subscriptions) == 0


async def test_cleanup_runs_when_the_request_is_cancelled():
    """Whoever cancels the task of a stream finds it cleaned up."""
    site = Site()
    started = asyncio.Event()

    async def send(_message):
        started.set()

    async def receive():
        await asyncio.Event().wait()

    task = asyncio.create_task(site.app(SCOPE, receive, send))
    async with asyncio.timeout(5):
        await started.wait()
    assert site.stats.open == 1
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert (site.stats.open, len(site.broker.subscriptions)) == (0, 0)


async def test_the_goodbye_waits_for_a_slow_send_within_the_grace():
    """The server says disconnect while a send is under way: it ends, then comes the goodbye."""
    site = Site(grace_s=20)
    sending, writable, leaving = asyncio.Event(), asyncio.Event(), asyncio.Event()
    sent = []

    async def send(message):
        sent.append(message)
        if message["type"] == "http.response.body":
            sending.set()
            await writable.wait()

    async def receive():
        await leaving.wait()
        return {"type": "http.disconnect"}

    task = asyncio.create_task(site.app(SCOPE, receive, send))
    async with asyncio.timeout(10):
        await sending.wait()
        leaving.set()
        for _ in range(20):  # turns in which a stream without patience would be cancelled
            await asyncio.sleep(0)
        writable.set()
        await task
    *_, goodbye, end = sent
    assert b"event: goodbye" in goodbye["body"]
    assert end == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_a_head_request_opens_no_stream(site, eventually):
    """It gets the headers and leaves nothing."""
    async with httpx.AsyncClient(trust_env=False) as http:
        route = site.app.routes[-1]
        route.methods.add("HEAD")
        response = await http.head(site.url)
    assert response.status_code == 200
    await eventually(lambda: site.stats.open == 0)
    assert len(site.broker.subscriptions) == 0


async def test_a_stream_can_be_ended_from_outside(site):
    """Drain and expiry end a subscription; the client reads the reason."""
    async with await SSEClient.connect(site.url) as client:
        for subscription in site.broker.subscriptions:
            subscription.end("expired")
        assert json.loads((await client.next()).data) == {"reason": "expired"}
        assert await client.closed()


@pytest.mark.parametrize("cut", range(8))
async def test_a_client_that_comes_back_sees_each_event_once(site, cut):
    """Cut after every event: the ids seen are all ids, and there are no duplicates."""
    total = 8
    seen = []
    async with await SSEClient.connect(site.url) as client:
        for number in range(total):
            await site.broker.publish("t", str(number))
        seen += await client.take(cut)
        # what the client has taken counts, not what reached its socket
        last = seen[-1].id if seen else str(site.broker.position).split(":")[0] + ":0"
    async with await SSEClient.connect(site.url, last_event_id=last) as client:
        seen += await client.take(total - cut)
    assert [event.data for event in seen] == [str(number) for number in range(total)]
    assert [int(event.id.split(":")[1]) for event in seen] == list(range(1, total + 1))


async def test_a_slow_stream_ends_and_its_client_resumes_without_loss(eventually):
    """By default an overflow costs a reconnection, not an event."""
    async with Site(max_items=5).running() as site:
        seen = []
        async with await SSEClient.connect(site.url) as client:
            for number in range(12):  # in one turn of the loop: no stream can keep up
                await site.broker.publish("t", str(number))
            events = await client.take(6)
            assert await client.closed()
            seen += [event.data for event in events if event.event is None]
            assert json.loads(events[-1].data) == {"reason": "slow reader"}
            last = client.last_event_id
        await eventually(lambda: site.stats.dropped > 0)
        async with await SSEClient.connect(site.url, last_event_id=last) as client:
            seen += [event.data for event in await client.take(7)]
        assert seen == [str(number) for number in range(12)]


async def test_a_lossy_stream_tells_how_much_it_lost():
    """With a policy that drops, the stream goes on behind a gap."""
    async with (
        Site(max_items=2, overflow=Overflow.DROP_OLDEST).running() as site,
        await SSEClient.connect(site.url) as client,
    ):
        for number in range(10):
            await site.broker.publish("t", str(number))
        gap, *rest = await client.take(3)
        assert json.loads(gap.data) == {"reason": "slow reader", "lost": 8}
        assert [event.data for event in rest] == ["8", "9"]


@pytest.mark.parametrize("last_event_id", ["garbage", "7", "other:7", "\xff\xfe", "a" * 4000])
async def test_an_unknown_last_event_id_is_a_gap_and_never_an_error(site, last_event_id):
    """A browser does not come back after an error."""
    headers = {"Last-Event-ID": last_event_id.encode("latin-1")}
    async with await SSEClient.connect(site.url, headers=headers) as client:
        assert client.status == 200
        assert (await client.next()).event == "gap"
        await site.broker.publish("t", "goes on")
        assert (await client.next()).data == "goes on"


async def test_keepalives_are_comments_and_move_the_position(eventually):
    """No page sees them; a quiet topic's position does not grow old beside a busy one."""
    async with (
        Site(keepalive_s=0.01).running() as site,
        await SSEClient.connect(site.url) as client,
    ):
        for _ in range(3):
            await site.broker.publish("busy", "x")
        await eventually(lambda: client.comments > 2)
        await eventually(lambda: client.last_event_id == str(site.broker.position))
        await site.broker.publish("t", "first event")
        assert (await client.next()).data == "first event"


async def test_a_busy_stream_needs_no_keepalive():
    """Any event postpones the comment: with something to send there is none."""
    async with Site(keepalive_s=60).running() as site, await SSEClient.connect(site.url) as client:
        for number in range(50):
            await site.broker.publish("t", str(number))
            await client.next()
        assert client.comments == 0


async def test_a_keepalive_does_not_hide_an_outage(valkey, eventually):
    """Cut off from the broker, the position stays where it was: a resume is a gap, not a lie."""
    broker = ValkeyBroker(valkey.url, backoff=lambda _attempt: 0.01)
    async with (
        broker,
        Site(broker, keepalive_s=0.01).running() as site,
        await SSEClient.connect(site.url) as client,
    ):
        await eventually(lambda: client.last_event_id and broker.connected)
        position = client.last_event_id
        valkey.kill()
        await eventually(lambda: not broker.connected)
        before = client.comments
        await eventually(lambda: client.comments > before + 3)
        assert client.last_event_id == position


@pytest.mark.parametrize(
    ("query", "status", "error"),
    [
        ("", 422, "topic is missing: name at least one"),
        ("?topic=", 422, "topic is empty: name at least one"),
        ("?topic=" + "x" * 256, 422, "topic has 256 characters: at most 255"),
        ("?topic=a%0Ab", 422, "topic 'a\\nb' has characters that do not print: remove them"),
        ("?topic=a&topic=b&topic=c", 422, "3 topics: ask for at most 2"),
        ("?topic=secret", 403, "you may not read 'secret'"),
    ],
)
async def test_a_wrong_request_is_refused_before_the_stream_starts(query, status, error):
    """A status and a sentence that names the field, not a broken stream."""
    site = Site(may_subscribe=lambda topic: topic != "secret", max_topics=2)
    async with site.running(), httpx.AsyncClient(trust_env=False) as http:
        response = await http.get(site.server.url + "/events" + query)
        assert response.status_code == status
        assert response.json() == {"detail": {"field": "topic", "error": error}}
        assert len(site.broker.subscriptions) == 0
        assert site.errors() == []


async def test_a_broker_that_is_down_is_503_with_a_time_to_come_back():
    """The stream does not start deaf."""

    class Down(MemoryBroker):
        async def subscribe(self, *_args, **_options):
            raise BrokerUnavailableError("down")

    async with Site(Down()).running() as site, httpx.AsyncClient(trust_env=False) as http:
        response = await http.get(site.url)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "3"
        assert site.stats.open == 0
        assert site.errors() == []


async def test_two_streams_of_one_client_do_not_steal_from_each_other(site):
    """A second tab is another stream: identity is made here, not sent by the client."""
    headers = {"x-connection-id": "the same"}
    async with (
        await SSEClient.connect(site.url, headers=headers) as first,
        await SSEClient.connect(site.url, headers=headers) as second,
    ):
        for number in range(20):
            await site.broker.publish("t", str(number))
        expected = [str(number) for number in range(20)]
        assert [event.data for event in await first.take(20)] == expected
        await second.close()
        await site.broker.publish("t", "after")
        assert (await first.next()).data == "after"


async def test_the_numbers_settle_after_churn(site, eventually):
    """Many visits leave no stream, no subscription and no task of theirs."""
    before = len(asyncio.all_tasks())

    async def visit(number):
        async with await SSEClient.connect(site.url) as client:
            if number % 2:
                client.abort()

    for _ in range(3):
        await asyncio.gather(*(visit(number) for number in range(8)))
    await eventually(lambda: site.stats.open == 0)
    assert len(site.broker.subscriptions) == 0
    # sse-starlette keeps one watcher a thread, however many streams there were
    await eventually(lambda: len(asyncio.all_tasks()) <= before + 1)
