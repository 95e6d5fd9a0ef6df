"""One process, put together and taken down again."""

import asyncio

import psutil
import pytest
from starlette.requests import HTTPConnection

from labkit.production import BadSettings, Service, Settings, create_app, load, service
from labkit.testing.server import LiveServer

OLD, NEW = "o" * 32, "n" * 32


def test_a_worker_among_several_refuses_to_talk_to_itself(monkeypatch):
    """Each with a Valkey of its own would be half the room, silently."""
    monkeypatch.setattr(service, "has_supervisor", lambda: True)
    for given in ({}, {"redis_url": "redis://there"}, {"secret": NEW}):
        with pytest.raises(BadSettings, match="many workers need one LABKIT_REDIS_URL"):
            Service(load(**given))
    assert Service(load(redis_url="redis://there", secret=NEW)).settings.workers == 1


async def test_a_process_alone_brings_a_broker_that_leaves_with_it():
    """And no task; the same application can be served again."""
    before, ours = asyncio.all_tasks(), psutil.Process()
    children = set(ours.children())
    app = create_app(load(log_level="warning"))
    for _ in range(2):
        async with LiveServer(app):
            assert "valkey" in " ".join(each.name() for each in set(ours.children()) - children)
        assert set(ours.children()) == children
    assert asyncio.all_tasks() == before


def test_a_key_is_replaced_without_logging_anybody_out():
    """The old one verifies and does not sign."""
    old = Service(load(secret=OLD)).tokens.issue("ada", lifetime_s=60)
    both = Service(load(secret=NEW, previous_secret=OLD)).tokens
    assert both.verify(old).user == "ada"
    assert Service(load(secret=NEW)).tokens.verify(both.issue("ada", lifetime_s=60)).user == "ada"


@pytest.mark.parametrize(
    ("scheme", "name"), [("https", "__Host-session"), ("ws", "labkit-session")]
)
def test_the_strict_cookie_is_used_where_there_is_tls(scheme, name):
    """A browser takes it nowhere else."""
    scope = {"type": "http", "scheme": scheme, "path": "/", "headers": [(b"host", b"x")]}
    assert Service.cookie_name(HTTPConnection(scope | {"query_string": b""})) == name


def test_its_parts_have_the_numbers_of_the_settings():
    """Those that nobody can see from outside in a test's time."""
    service = Service(
        Settings(
            outbox_items=7, outbox_bytes=70_000, write_timeout_s=3, ping_interval_s=9, settle_s=2
        )
    )
    assert (service.limits.outbox_items, service.limits.outbox_bytes) == (7, 70_000)
    assert service.stream_options.keepalive_s == 9
    assert service.stream_options.send_timeout_s == service.limits.write_timeout_s == 3
    assert service.drain.settings.settle_s == 2
