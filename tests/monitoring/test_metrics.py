"""Counted in one place: the gauge settles, labels are ours, a broadcast is counted once."""

import asyncio

import pytest
from fastapi import Depends, FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.websockets import WebSocketDisconnect

from labkit.architecture import CloseCode, Ending, Manager, encode
from labkit.monitoring import Metrics, class_of
from labkit.monitoring.metrics import look
from labkit.sse import MemoryBroker, event_stream
from labkit.testing.clients import SSEClient
from labkit.testing.clock import ManualClock
from labkit.testing.faults import reset
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until

WS = {"transport": "websocket"}


def sample(metrics, name, **labels):
    return metrics.registry.get_sample_value(f"realtime_{name}", labels) or 0


def series(metrics):
    return {
        (each.name, *each.labels.items()) for m in metrics.registry.collect() for each in m.samples
    }


async def test_after_any_storm_nobody_is_active(room):
    """Polite goodbyes, resets, bugs and refused messages: all of them are counted back."""

    async def on_text(connection, text):
        if text == "bug":
            raise KeyError(text)
        connection.send(encode("pong"))

    async with room(on_text=on_text) as here:
        guests = [await here.join() for _ in range(12)]
        assert here.active == 12
        here.clock.advance(60)
        reset(*guests[:4])
        for client in guests[4:8]:
            await client.close()
        for client in guests[8:]:
            await client.send("bug")
        await until(lambda: not len(here.manager))
        await until(lambda: here.active == 0)
        assert here.value("connection_duration_seconds_sum", **WS) == 12 * 60
        ended = {
            word: here.value("connections_closed_total", ending=word, by=by, **WS)
            for word, by in [("no_code", "peer"), ("goodbye", "peer"), ("fault", "server")]
        }
        assert ended == {"no_code": 4, "goodbye": 4, "fault": 4}


@pytest.mark.parametrize(
    ("error", "word", "by"),
    [
        (asyncio.CancelledError(), "restart", "server"),
        (WebSocketDisconnect(1006), "lost", "peer"),
        (KeyError(), "fault", "server"),
    ],
)
def test_whatever_is_raised_passes_and_settles_the_gauge(error, word, by):
    """The exception is the endpoint's affair; the count is ours."""
    metrics = Metrics()
    with pytest.raises(type(error)), metrics.session():
        assert sample(metrics, "connections_active", **WS) == 1
        raise error
    assert sample(metrics, "connections_active", **WS) == 0
    assert sample(metrics, "connections_closed_total", ending=word, by=by, **WS) == 1


def test_a_day_is_no_longer_than_the_last_bucket():
    """The buckets reach as far as connections do."""
    clock = ManualClock()
    metrics = Metrics(clock=clock)
    with metrics.session("sse"):
        clock.advance(20 * 3600)
    bucket = {"transport": "sse", "le": "86400.0"}
    assert sample(metrics, "connection_duration_seconds_bucket", **bucket) == 1


async def test_a_thousand_invented_types_are_one_label(room):
    """The number of series is the same before and after."""
    async with room() as here:
        client = await here.join()
        await client.send({"type": "x0"})
        await client.receive_json()
        before = series(here.metrics)
        visit = here.visits[0]
        for n in range(1000):
            visit.hear(f'{{"type":"x{n}"}}')
        assert series(here.metrics) == before
        assert here.value("messages_total", direction="in", type="other") == 1001
        assert here.value("messages_total", direction="in", type="ping") == 1


@given(st.one_of(st.text(), st.binary(), st.text().map(lambda t: f'{{"type":"{t}"}}')))
def test_whatever_is_sent_has_one_of_our_labels(payload):
    """A look at hostile bytes neither raises nor invents a label."""
    metrics = Metrics(types={"ping"})
    assert metrics.label(look(payload)) in {"ping", "binary", "other"}


@pytest.mark.parametrize("type_", [["list"], None, 7, "x" * 70_000])
def test_a_type_of_any_kind_has_a_label(type_):
    """What JSON can hold, and more."""
    assert Metrics().label(type_) == "other"


async def test_a_broadcast_is_counted_by_who_accepted_it(room):
    """And a publish to nobody counts nothing as sent."""
    async with room() as here:
        price, publish = (
            encode("price", n=1),
            here.metrics.publishing(here.manager.publish, "price"),
        )
        assert publish("prices", price) == 0
        assert here.value("messages_total", direction="out", type="price") == 0
        clients = [await here.join(name) for name in ("ada", "bob")]
        for client in clients:
            await client.send({"type": "subscribe", "topic": "prices"})
            await client.receive_json()
        assert publish("prices", price) == 2
        assert here.value("messages_total", direction="out", type="price") == 2
        assert here.value("message_bytes_total", direction="out") == 2 * price.size


def test_a_label_is_decided_before():
    """Publishing under a type without a label is refused when the service starts."""
    with pytest.raises(ValueError, match="'chat' has no label: add it to `types`"):
        Metrics(types={"price"}).publishing(Manager().publish, "chat")


async def test_an_event_stream_is_counted_as_long_as_it_lasts():
    """In a dependency with `yield`, whoever ends it."""
    metrics, broker, app = Metrics(), MemoryBroker(), FastAPI()

    def counted():
        with metrics.session("sse") as visit:
            yield visit

    @app.get("/events", dependencies=[Depends(counted)])
    async def events(request: Request):
        return event_stream(request, broker, ["news"], may_subscribe=lambda _: True)

    def active():
        return sample(metrics, "connections_active", transport="sse")

    async with LiveServer(app) as server:
        async with await SSEClient.connect(f"{server.url}/events"):
            await until(lambda: active() == 1)
        await until(lambda: active() == 0)


def test_refusals_have_closed_reasons():
    """A reason that is not ours is `other`."""
    metrics = Metrics()
    for reason in ("full", "full", "<script>"):
        metrics.refused(reason)
    assert sample(metrics, "connections_refused_total", reason="full") == 2
    assert sample(metrics, "connections_refused_total", reason="other") == 1


@pytest.mark.parametrize("code", [*CloseCode, 3999, 4998, 0, 70_000])
def test_every_code_has_one_of_nine_classes(code):
    """Also those that only a hostile peer would send."""
    words = {
        "goodbye",
        "no_code",
        "lost",
        "fault",
        "restart",
        "slow",
        "timeout",
        "refused",
        "other",
    }
    assert class_of(code) in words
    assert class_of(4998) == "other"


def test_metrics_can_be_made_twice():
    """Each has a registry of its own, unless one is given."""
    Metrics()
    assert Metrics(registry=(given := Metrics().registry.__class__())).registry is given


def test_an_ending_that_the_endpoint_names_is_counted():
    """An endpoint without a session says how it ended."""
    metrics = Metrics()
    with metrics.session() as visit:
        visit.ending = Ending(CloseCode.IDLE, "idle", "server")
    assert sample(metrics, "connections_closed_total", ending="timeout", by="server", **WS) == 1
