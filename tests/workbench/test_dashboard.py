"""The dashboard shows what `/metrics` says, and nothing it made up."""

import asyncio

import pytest
from fastapi import FastAPI

from labkit.monitoring import Metrics, Scrape
from labkit.testing.server import LiveServer
from labkit.testing.waiting import until
from labkit.workbench.dashboard import dashboard, samples_of, scrape

ACTIVE = 'realtime_connections_active{transport="websocket"}'


@pytest.fixture
async def service():
    """Return metrics and the address that tells them."""
    metrics, app = Metrics(), FastAPI()
    app.add_route("/metrics", Scrape(metrics.registry))
    async with LiveServer(app) as server:
        yield metrics, f"{server.url}/metrics"


def test_samples_are_named_with_their_labels_in_order():
    """Whatever order the service writes them in."""
    text = '# TYPE a gauge\na{y="2",x="1"} 3\n# TYPE b gauge\nb 4\n'
    assert samples_of(text) == {'a{x="1",y="2"}': 3, "b": 4}


async def test_a_scrape_reads_what_a_service_tells(service):
    """By name and labels."""
    metrics, url = service
    with metrics.session():
        assert (await scrape(url))[ACTIVE] == 1


async def test_a_line_follows_its_sample(service, monkeypatch):
    """From the first look to the last, and one that is missing is 0."""
    monkeypatch.setenv("LABKIT_CI", "1")
    metrics, url = service
    async with dashboard(url, {"open": ACTIVE, "none": "no_such"}, verdict="it rose") as board:
        assert board.last == {"open": 0, "none": 0}
        with metrics.session():
            await until(lambda: board.last["open"] == 1)
        await board.look()
        assert board.last["open"] == 0
    assert board.last == {"open": 0, "none": 0}
    assert str(board.picture()) == "/metrics: it rose"


async def test_the_body_s_error_comes_out_as_it_is(service, monkeypatch):
    """Not wrapped in a group, and the follower is gone."""
    monkeypatch.setenv("LABKIT_CI", "1")
    with pytest.raises(KeyError):
        async with dashboard(service[1], {"open": ACTIVE}, verdict="nothing"):
            raise KeyError
    assert not [task for task in asyncio.all_tasks() if "_follow" in repr(task)]
