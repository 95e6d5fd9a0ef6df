"""Traces across a real broker, in a process of its own: a tracer provider is for good."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.production.traces import handing_out, publishing
from labkit.testing.valkey import ValkeyServer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def spans():
    """The spans of one conversation between two workers."""
    with ValkeyServer() as valkey:
        command = [sys.executable, "-m", "tests.production.traced", valkey.url]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def named(spans, name):
    return [span for span in spans if span["name"] == name]


def ancestry(span, spans):
    """Name a span and all that it is a part of, the outermost last."""
    parents = {each["id"]: each for each in spans}
    names = [span["name"]]
    while span := parents.get(span["parent"]):
        names.append(span["name"])
    return names


def test_a_request_and_both_workers_are_one_trace(spans):
    """FastAPI's spans, the publication in them, and in that the handing out at the other worker."""
    (request,) = named(spans, "POST /publish")
    heard, *_ = named(spans, "hand out event")
    assert ancestry(heard, spans) == [
        "hand out event", "publish event", "fastapi.endpoint", "POST /publish",
    ]  # fmt: skip
    assert heard["trace"] == request["trace"]
    assert (heard["kind"], heard["topic"]) == ("CONSUMER", "room:tea")


def test_what_is_said_on_a_websocket_is_a_trace_of_its_own(spans):
    """The connection's span ends with the connection; a trace of hours helps nobody."""
    (said,) = named(spans, "message publish")
    assert said["parent"] is None
    (connection,) = [span for span in spans if span["id"] in said["links"]]
    assert ancestry(connection, spans) == ["fastapi.endpoint", "WS /ws"]
    assert connection["trace"] != said["trace"]
    *_, heard = named(spans, "hand out event")
    assert ancestry(heard, spans) == ["hand out event", "publish event", "message publish"]


def test_without_a_provider_nothing_is_sent_along():
    """And nothing is read."""
    with publishing("t") as carried:
        assert carried == {}


@pytest.mark.parametrize("trace", ["", "nonsense", 5, None, {"a": 1}, "00-" + "0" * 50])
def test_a_traceparent_that_makes_no_sense_changes_nothing(trace):
    """It came from the broker, where anybody may write."""
    with handing_out("t", json.dumps({"data": "x", "traceparent": trace}).encode()):
        pass
