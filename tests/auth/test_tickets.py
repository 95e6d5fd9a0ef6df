"""One contract for tickets in memory and in Valkey."""

import asyncio

import pytest
from redis.asyncio import Redis

from labkit.auth import AuthUnavailable, BadCredentials, Identity, MemoryTickets, ValkeyTickets

ADA = Identity(user="ada", token_id="t1", issued_at=1.5, expires_at=61.5)


async def refused(tickets, ticket):
    with pytest.raises(BadCredentials) as caught:
        await tickets.take(ticket)
    return caught.value.code


async def test_a_ticket_gives_back_who_it_was_made_for(make_tickets):
    """The identity survives the store, whole."""
    async with make_tickets() as (tickets, _):
        assert await tickets.take(await tickets.issue(ADA)) == ADA


async def test_a_replayed_ticket_is_refused(make_tickets):
    """The second use finds nothing."""
    async with make_tickets() as (tickets, _):
        ticket = await tickets.issue(ADA)
        await tickets.take(ticket)
        assert await refused(tickets, ticket) == "no such ticket"


async def test_of_five_racing_uses_exactly_one_wins(make_tickets):
    """Looking and taking are one step."""
    async with make_tickets() as (tickets, _):
        ticket = await tickets.issue(ADA)
        won = await asyncio.gather(
            *(tickets.take(ticket) for _ in range(5)), return_exceptions=True
        )
        assert sum(each == ADA for each in won) == 1
        assert sum(isinstance(each, BadCredentials) for each in won) == 4


async def test_a_late_ticket_is_refused(make_tickets):
    """After its lifetime it is as unknown as any other."""
    async with make_tickets(lifetime_s=0.05) as (tickets, later):
        ticket = await tickets.issue(ADA)
        await later(0.1)
        assert await refused(tickets, ticket) == "no such ticket"


@pytest.mark.parametrize("ticket", ["", "x" * 42, "x" * 100_000, "\udc80" * 43, "é" * 43])
async def test_what_cannot_be_a_ticket_is_not_looked_up(make_tickets, ticket):
    """Length and alphabet are checked first."""
    async with make_tickets() as (tickets, _):
        assert await refused(tickets, ticket) == "malformed"


async def test_an_unknown_ticket_is_refused(make_tickets):
    """One that nobody made opens nothing."""
    async with make_tickets() as (tickets, _):
        assert await refused(tickets, "A" * 43) == "no such ticket"


async def test_the_store_does_not_know_the_ticket_itself(valkey):
    """A dump of the store opens no door."""
    async with Redis.from_url(valkey.url, decode_responses=True) as client:
        ticket = await ValkeyTickets(client).issue(ADA)
        keys = [key async for key in client.scan_iter()]
        stored = [*keys, *[await client.get(key) for key in keys]]
        assert keys
        assert not any(ticket in each for each in stored)
        assert min([await client.pttl(key) for key in keys]) > 0


@pytest.mark.parametrize("outage", ["kill", "pause"])
async def test_a_store_that_is_down_is_no_wrong_ticket(valkey, outage):
    """Killed or hung: the outage has its own name, and its own deadline."""
    async with Redis.from_url(valkey.url) as client:
        tickets = ValkeyTickets(client, timeout_s=0.5)
        ticket = await tickets.issue(ADA)
        getattr(valkey, outage)()
        for use in (tickets.issue(ADA), tickets.take(ticket)):
            with pytest.raises(AuthUnavailable):
                await use
        valkey.resume()


async def test_memory_holds_a_bounded_number():
    """When too many are out, no more are made until some are over."""
    now = [0.0]
    tickets = MemoryTickets(lifetime_s=10, max_tickets=2, clock=lambda: now[0])
    for _ in range(2):
        await tickets.issue(ADA)
    with pytest.raises(AuthUnavailable, match="too many tickets"):
        await tickets.issue(ADA)
    now[0] = 10.0
    assert await tickets.take(await tickets.issue(ADA)) == ADA
