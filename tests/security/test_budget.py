"""One budget for all workers, and what happens without its store."""

import asyncio
import logging

import pytest

from labkit.security import Budget, WhenDown
from labkit.testing.valkey import ValkeyServer


@pytest.fixture
def url(valkey_server):
    """Return the address of a real, empty Valkey."""
    valkey_server.restart()
    return valkey_server.url


def budget(url, allowed="10/minute", name="messages", when_down=WhenDown.OPEN, **options):
    """Return a budget."""
    return Budget(url, allowed, name=name, when_down=when_down, **options)


async def test_three_workers_share_it(url):
    """Together they allow what one would."""
    async with budget(url) as a, budget(url) as b, budget(url) as c:
        asked = [worker.spend("user:ada") for worker in (a, b, c) for _ in range(10)]
        assert sum(await asyncio.gather(*asked)) == 10


async def test_each_user_and_each_name_has_its_own(url):
    """What ada spends, bob has still; what is said is not what is asked."""
    async with budget(url, "1/minute") as said, budget(url, "1/minute", name="logins") as logins:
        assert await said.spend("user:ada")
        assert not await said.spend("user:ada")
        assert await said.spend("user:bob")
        assert await logins.spend("user:ada")


async def test_a_name_cannot_be_spelt_into_another(url):
    """A slash in a name is part of the name."""
    async with budget(url, "1/minute") as b, budget(url, "1/minute", name="messages/x") as other:
        assert await b.spend("x/user:ada")
        assert await other.spend("user:ada")


async def test_a_dear_thing_costs_more(url):
    """All or none of the cost."""
    async with budget(url) as b:
        assert await b.spend("user:ada", cost=8)
        assert not await b.spend("user:ada", cost=8)
        assert await b.spend("user:ada", cost=2)


@pytest.mark.parametrize("when_down", WhenDown)
@pytest.mark.parametrize("fault", ["stop", "pause"], ids=["gone", "hung"])
async def test_without_a_store_it_does_what_was_decided(when_down, fault, caplog):
    """Within the deadline, counted, and logged once an outage."""
    caplog.set_level(logging.ERROR)
    allowed = when_down is WhenDown.OPEN
    with ValkeyServer() as server:
        async with budget(server.url, when_down=when_down, timeout_s=0.5) as b:
            assert await b.spend("user:ada")
            getattr(server, fault)()
            assert [await b.spend("user:ada") for _ in range(3)] == [allowed] * 3
            assert b.unanswered == 3
            server.resume() if fault == "pause" else server.restart()
            assert await b.spend("user:ada")
    (line,) = [each.getMessage() for each in caplog.records if "budget" in each.name]
    assert line.startswith("budget messages: no store (")
    assert line.endswith(f"), {when_down.value}")


def test_a_budget_that_cannot_be_read_is_an_error():
    """The message shows the form."""
    with pytest.raises(ValueError, match="allowed is 'lots': write it as '100/minute'"):
        budget("redis://127.0.0.1:1", "lots")
