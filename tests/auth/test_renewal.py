"""A newer token keeps a connection; somebody else's does not."""

import pytest

from labkit.auth import BadCredentials
from labkit.testing.clients import Closed
from tests.auth.conftest import forge


async def renew(client, token):
    await client.send({"type": "renew", "token": token, "id": "r1"})
    answer = await client.receive_json()
    assert answer["ref"] == "r1"
    return answer


async def test_a_newer_token_extends_the_connection(service):
    """It lives past the first token's end, and ends with the second's."""
    async with service() as lab:
        ada = await lab.enter(lab.token("ada", 60))
        lab.clock.advance(50)
        assert (await renew(ada, lab.token("ada", 60)))["type"] == "renewed"
        lab.clock.advance(50)
        lab.live.sweep()
        await ada.send({"type": "ping"})
        assert (await ada.receive_json())["type"] == "pong"
        lab.clock.advance(11)
        lab.live.sweep()
        assert await ada.closed() == Closed(4001, "expired")


@pytest.mark.parametrize(
    ("shown", "word"),
    [("eve", "other user"), ("expired", "expired"), ("revoked", "revoked"), ("x", "malformed")],
)
async def test_a_token_that_may_not_extend_it_is_refused(service, shown, word):
    """The answer says why, it is counted, and the first token's end stays the end."""
    async with service() as lab:
        ada = await lab.enter(lab.token("ada", 60))
        token = {
            "eve": lab.token("eve", 600),
            "expired": forge(exp=lab.clock() - 1),
            "revoked": forge(jti="lost"),
        }.get(shown, shown)
        lab.live.revoke_token("lost")
        answer = await renew(ada, token)
        assert (answer["code"], answer["detail"]) == ("bad_credentials", word)
        assert lab.gate.refused == {word: 1}
        lab.clock.advance(61)
        lab.live.sweep()
        assert (await ada.closed()).code == 4001


async def test_an_outage_is_told_as_one(service):
    """The client keeps its connection and may ask again."""
    async with service() as lab:
        ada = await lab.enter()
        lab.down = True
        assert (await renew(ada, lab.token()))["code"] == "unavailable"
        lab.down = False
        assert (await renew(ada, lab.token()))["type"] == "renewed"


async def test_an_ended_lease_cannot_be_renewed(service):
    """A token that arrives with the close frame under way changes nothing."""
    async with service() as lab:
        ada = await lab.enter()
        (connection,) = lab.manager
        lab.live.revoke_user("ada")
        lab.clock.advance(1)
        with pytest.raises(BadCredentials, match="revoked"):
            lab.live.renew(connection, lab.tokens.verify(lab.token()))
        assert (await ada.closed()).code == 4502
