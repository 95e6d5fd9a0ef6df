"""Everything that `labkit.testing.hostile` knows, against a server with room 8 in it."""

import os

import psutil
import pytest

from labkit.testing.hostile import FRAMES, attack, fragments, messages, origins, storm
from labkit.testing.outcomes import Rejected
from tests.security.conftest import OWN, VALID

ROWS = (*messages(VALID, "data"), *FRAMES, storm(), fragments())
MAX_GROWTH_BYTES = 40 << 20


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
async def test_every_row_earns_what_is_promised(chat, row):
    """The reply or the close code of the table, bounded memory, and the others live on."""
    async with chat() as c:
        bystander = await c.join("bystander")
        before = psutil.Process(os.getpid()).memory_info().rss
        assert await attack(c.url, row, patience_s=2) in row.promise
        grown = psutil.Process(os.getpid()).memory_info().rss - before
        assert grown < MAX_GROWTH_BYTES
        await bystander.send({"type": "ping"})
        assert (await bystander.receive_json())["type"] == "pong"
        assert not [each for each in c.server.log if each.exc_text and "UTF-8" not in each.msg]


@pytest.mark.parametrize("spelling", origins(OWN).values(), ids=origins(OWN))
async def test_ten_spellings_of_an_origin_are_ten_refusals(chat, spelling):
    """Only the very same scheme, host and port come in."""
    async with chat() as c:
        with pytest.raises(Rejected) as refusal:
            await c.join(headers={"Origin": spelling})
        assert refusal.value.status == 403


async def test_the_right_origin_comes_in(chat):
    """The refusals above are not for everybody."""
    async with chat() as c:
        client = await c.join(headers={"Origin": OWN})
        await client.send(VALID)
        assert (await client.receive_json())["type"] == "noted"


def test_the_rows_are_what_their_names_say():
    """The table has no row twice, and each is really another thing to send."""
    assert len({row.name for row in ROWS}) == len({row.sent for row in ROWS}) == len(ROWS)
