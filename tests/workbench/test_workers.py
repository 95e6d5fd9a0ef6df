"""Three ways to tell how many connections two workers have, and which of them is true."""

import os
import signal

import pytest

from labkit.testing.clients import WebSocketClient
from labkit.testing.process import ServerProcess
from labkit.workbench.dashboard import scrape
from labkit.workbench.workers import COMMAND

ACTIVE = 'realtime_connections_active{transport="websocket"}'
ENV = {"PROMETHEUS_MULTIPROC_DIR": "{folder}"}


@pytest.mark.timeout(60)
async def test_only_the_scrape_that_looks_who_lives_is_right_after_a_kill():
    """The plain one tells a share, the summed one keeps the dead."""
    async with ServerProcess(COMMAND, env=ENV) as process:
        clients = {}
        while len(clients) < 2 or min(map(len, clients.values())) < 2:
            client = await WebSocketClient.connect(f"{process.ws_url}/ws")
            clients.setdefault((await client.receive_json())["pid"], []).append(client)
        total = sum(map(len, clients.values()))
        shares = {(await scrape(f"{process.url}/own"))[ACTIVE] for _ in range(8)}
        assert max(shares) < total
        assert (await scrape(f"{process.url}/summed"))[ACTIVE] == total
        victim, orphans = clients.popitem()
        os.kill(victim, signal.SIGKILL)
        for client in orphans:
            await client.closed()
        assert (await scrape(f"{process.url}/summed"))[ACTIVE] == total
        assert (await scrape(f"{process.url}/metrics"))[ACTIVE] == total - len(orphans)
        assert (await scrape(f"{process.url}/summed"))[ACTIVE] == total - len(orphans)
        (others,) = clients.values()
        for client in others:
            await client.close()
