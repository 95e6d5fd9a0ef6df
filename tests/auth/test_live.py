"""A lease ends with its token, or when it is withdrawn, and takes its connection with it."""

import asyncio
import time
from contextlib import ExitStack

import pytest
from fastapi import WebSocket
from hypothesis import given
from hypothesis import strategies as st

from labkit.auth import BadCredentials, Identity, Live
from labkit.testing.clients import Closed
from labkit.testing.clock import ManualClock
from labkit.testing.waiting import until
from tests.auth.conftest import NOW_S


def identity(user="ada", token_id="t1", issued_at=NOW_S, lifetime_s=60):
    return Identity(
        user=user, token_id=token_id, issued_at=issued_at, expires_at=issued_at + lifetime_s
    )


@pytest.fixture
def clock():
    return ManualClock(NOW_S)


@pytest.fixture
def live(clock):
    return Live(clock=clock, remember_s=100)


async def test_a_websocket_closes_with_4001_when_its_token_ends(service):
    """Not a second before; the code says: renew and come back."""
    async with service() as lab:
        ada, eve = (
            await lab.enter(lab.token("ada", 60)),
            await lab.enter(lab.token("eve", 90), "eve"),
        )
        lab.clock.advance(59.9)
        lab.live.sweep()
        assert ada.open
        lab.clock.advance(0.2)
        lab.live.sweep()
        assert await ada.closed() == Closed(4001, "expired")
        assert eve.open
        await until(lambda: len(lab.live) == len(lab.manager) == 1)


async def test_a_short_token_ends_by_itself_and_is_refused_when_it_returns(service):
    """With the real clock and the real task: closed 4001, and 4001 again at the door."""
    async with service(clock=time.time, tick_s=0.02) as lab:
        watching = asyncio.create_task(lab.live.run())
        token = lab.token("ada", 0.3)
        ada, eve = await lab.enter(token), await lab.enter(name="eve")
        assert await ada.closed() == Closed(4001, "expired")
        again = await lab.join("/first")
        await again.send({"type": "auth", "token": token})
        assert await again.closed() == Closed(4001, "expired")
        assert eve.open
        watching.cancel()
        await asyncio.wait({watching})


async def test_a_withdrawn_token_ends_at_once_and_opens_no_other(service):
    """4502 for the one connection of that token; the same user's other one stays."""
    async with service() as lab:
        lost, kept = lab.token(), lab.token()
        first, second = await lab.enter(lost), await lab.enter(kept)
        assert lab.live.revoke_token(lab.tokens.verify(lost).token_id) == 1
        assert await first.closed() == Closed(4502, "revoked")
        assert second.open
        async with await lab.join("/first") as again:
            await again.send({"type": "auth", "token": lost})
            assert await again.closed() == Closed(4502, "revoked")


async def test_a_withdrawn_user_ends_everywhere_and_may_log_in_anew(service):
    """Every connection of the user, nobody else's; a later token is good."""
    async with service() as lab:
        phone, laptop, eve = [await lab.enter(name=name) for name in ("ada", "ada", "eve")]
        assert lab.live.revoke_user("ada") == 2
        assert {(await each.closed()).code for each in (phone, laptop)} == {4502}
        assert eve.open
        lab.clock.advance(1)
        assert (await lab.enter(lab.token("ada"))).open


def test_what_was_withdrawn_between_check_and_lease_ends_with_the_binding(live):
    """A function that is given late is told at once."""
    ends = []
    with live.lease(identity()) as lease:
        live.revoke_user("ada")
        lease.when_ended(ends.append)
    assert [end.code for end in ends] == [4502]


async def test_what_was_withdrawn_between_check_and_lease_is_closed(service):
    """Accepting takes a moment; whoever is withdrawn in it is closed with 4502."""
    async with service() as lab:
        good = lab.tokens.verify(lab.token())
        lab.live.revoke_token(good.token_id)

        @lab.app.websocket("/late")
        async def late(websocket: WebSocket):
            await lab.converse(websocket, good)

        assert await (await lab.join("/late")).closed() == Closed(4502, "revoked")
        await until(lambda: len(lab.live) == len(lab.manager) == 0)


def test_a_lease_ends_once(live, clock):
    """The first reason is the reason."""
    ends = []
    with live.lease(identity()) as lease:
        lease.when_ended(ends.append)
        live.revoke_token("t1")
        clock.advance(100)
        live.sweep()
    assert [end.reason for end in ends] == ["revoked"]
    assert len(live) == 0


def test_what_is_not_allowed_any_more_ends(live):
    """4501, and only where the question is answered with no."""
    ends = []
    with live.lease(identity()) as lease, live.lease(identity()) as other:
        lease.allowed = lambda: False
        lease.when_ended(ends.append)
        other.when_ended(ends.append)
        assert live.recheck() == 1
    assert [end.code for end in ends] == [4501]


def test_a_withdrawal_is_remembered_as_long_as_it_must_be(live, clock):
    """Then it is forgotten, or the memory would grow for ever."""
    live.revoke_token("t1")
    live.revoke_user("eve")
    clock.advance(50)
    live.revoke_user("eve")
    clock.advance(50)
    live.sweep()
    live.check(identity(issued_at=NOW_S + 99))
    with pytest.raises(BadCredentials, match="revoked"):
        live.check(identity("eve", "t2", NOW_S + 49, 1000))
    clock.advance(50)
    live.sweep()
    assert not live._withdrawn


def test_an_identity_that_is_over_is_refused(live):
    """A ticket may wait longer than the token behind it."""
    with pytest.raises(BadCredentials, match="expired"):
        live.check(identity(issued_at=NOW_S - 60))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 20)), max_size=30))
def test_whatever_comes_goes_and_renews_only_what_is_due_ends(steps):
    """Leases in any order, left, renewed and expired: the ended ones are those of the past."""
    clock = ManualClock(NOW_S)
    live, stack, held = Live(clock=clock), ExitStack(), {}
    with stack:
        for slot, leaves, seconds in steps:
            if slot in held and leaves:
                held.pop(slot)[0].close()
            elif slot in held and held[slot][1].ended is None:
                live.renew(slot, identity(issued_at=clock(), lifetime_s=seconds))
            elif slot not in held:
                own = stack.enter_context(ExitStack())
                lease = own.enter_context(
                    live.lease(identity(issued_at=clock(), lifetime_s=seconds))
                )
                lease.connection = slot
                live.know(slot, lease)
                held[slot] = own, lease
            clock.advance(1)
            live.sweep()
            assert len(live) == len(held)
            for _, lease in held.values():
                assert (lease.ended is not None) == (lease.identity.expires_at <= clock())
    assert len(live) == 0


async def test_leaving_takes_the_lease_along(service):
    """Closed by the peer or by us, nothing is kept."""
    async with service() as lab:
        ada, eve = await lab.enter(), await lab.enter(name="eve")
        await ada.close()
        eve.abort()
        await until(lambda: len(lab.live) == 0)
        assert not lab.live._by_connection
