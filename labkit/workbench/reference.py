"""The reference application in processes of its own, and how the probes talk to it."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import suppress

import httpx

from labkit.messaging.envelope import VERSIONS
from labkit.testing.clients import Disconnected, SSEClient
from labkit.testing.process import ServerProcess
from labkit.testing.valkey import ValkeyServer
from labkit.workbench.checkservice import gauge
from labkit.workbench.probing import Target, Way

__all__ = [
    "QUICK",
    "follow",
    "http_status",
    "listen",
    "numbers",
    "reference",
    "reference_target",
    "say",
    "texts",
]

SECRET = "for a laboratory, and known to everybody who reads this"  # noqa: S105 - it hides nothing
GAUGE = "realtime_connections_active"
"""See `labkit.monitoring.metrics`."""
HALL = "room:hall"
PAUSE_S, PATIENCE_S = 0.05, 30.0
QUICK = {"ping_interval_s": 0.5, "ping_timeout_s": 1.5, "idle_timeout_s": 3.0}
"""Short for a lesson, and long for a busy machine: who listens in a cell answers no ping."""


def serve_reference(port: int) -> None:
    """Run one worker of it. A program of its own."""
    import uvicorn  # noqa: PLC0415 - the source of this function is a program

    from labkit.production.app import create_app  # noqa: PLC0415 - see above
    from labkit.production.serve import uvicorn_options  # noqa: PLC0415 - see above
    from labkit.production.settings import load  # noqa: PLC0415 - see above

    settings = load(port=port)
    uvicorn.run(create_app(settings), **uvicorn_options(settings) | {"port": port, "workers": 1})


def reference(valkey: ValkeyServer, **settings: object) -> ServerProcess:
    """Make one worker of the reference application; `start` it.

    Args:
        valkey: the broker of all workers.
        settings: see `labkit.production.settings`.
    """
    given = {"redis_url": valkey.url, "secret": SECRET} | settings
    env = {f"LABKIT_{name.upper()}": str(value) for name, value in given.items()}
    return ServerProcess(serve_reference, env=env)


async def token(process: ServerProcess, user: str) -> str:
    """Log somebody in; the token is good at every worker."""
    async with httpx.AsyncClient(base_url=process.url, trust_env=False) as http:
        answer = await http.post("/login", json={"user": user})
        return str(answer.raise_for_status().json()["token"])


class Members:
    """Lets users in, and logs each in once."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    async def __call__(self, process: ServerProcess, user: str) -> Way:
        """Return how a user comes in."""
        if user not in self._tokens:
            self._tokens[user] = await token(process, user)
        return Way("/ws", {"Authorization": f"Bearer {self._tokens[user]}"}, VERSIONS)


def said(text: str = "hello") -> dict[str, str]:
    """Return a message for everybody in the hall, with an id of its own."""
    return {"type": "publish", "topic": HALL, "data": text, "id": secrets.token_hex(4)}


def reference_target(
    process: ServerProcess, sibling: ServerProcess, valkey: ValkeyServer
) -> Target:
    """Return how the probes talk to two workers of it, started with `QUICK`."""
    return Target(
        process=process,
        sibling=sibling,
        valkey=valkey,
        member=Members(),
        count=lambda each: gauge(each, "/metrics", GAUGE),
        stranger=Way("/ws", subprotocols=VERSIONS),
        ask={"type": "ping"},
        join={"type": "subscribe", "topic": HALL},
        say=said,
        spy={"type": "subscribe", "topic": "user:ada"},
        gauge=GAUGE,
        idle_s=QUICK["idle_timeout_s"],
    )


async def say(target: Target, *texts: str, url: str | None = None, pause_s: float = 0.0) -> None:
    """Say something in the hall, by request; each as often as it takes, and it is said once.

    Args:
        target: see `reference_target`.
        texts: what.
        url: where; the first worker when None, else a proxy.
        pause_s: after each text.
    """
    headers = (await target.member(target.process, "bob")).headers
    address = f"{url or target.process.url}/publish"
    async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
        for text in texts:
            body = {"topic": HALL, "text": text, "id": secrets.token_hex(4)}
            async with asyncio.timeout(PATIENCE_S):
                while not await _accepted(http, address, body):  # noqa: ASYNC110 - its only answer
                    await asyncio.sleep(PAUSE_S)
            await asyncio.sleep(pause_s)


async def _accepted(http: httpx.AsyncClient, address: str, body: dict[str, str]) -> bool:
    with suppress(httpx.TransportError):
        return (await http.post(address, json=body)).is_success
    return False


async def listen(
    target: Target, url: str, user: str = "ada", last_event_id: str | None = None
) -> SSEClient:
    """Open a user's event stream of the hall, at a worker or at a proxy."""
    headers = (await target.member(target.process, user)).headers
    return await SSEClient.connect(
        f"{url}/events?topic={HALL}",
        last_event_id=last_event_id,
        headers=headers,
        name=user,
        timeout_s=PATIENCE_S,
    )


async def texts(client: SSEClient, count: int) -> tuple[list[str], str]:
    """Take what was said, until there are `count` of it or the stream ends; return the last id.

    What has a type is not said: `gap` and `goodbye` are the server's own.
    """
    found: list[str] = []
    last_id = ""
    try:
        while len(found) < count:
            event = await client.next()
            last_id = event.id or last_id
            found.append(text_of(event.data) if event.event is None else f"({event.event})")
    except Disconnected:  # a position may come without an event
        last_id = client.last_event_id
    return found, last_id


def text_of(data: str) -> str:
    """Return what somebody said in an event."""
    return str(json.loads(data)["data"]["text"])


async def follow(target: Target, url: str, user: str, count: int, opened: list[str]) -> list[str]:
    """Take `count` texts over as many streams as it takes; put the user into `opened` at first."""
    found: list[str] = []
    last_id: str | None = None
    while len(found) < count:
        with suppress(ConnectionError):
            async with await listen(target, url, user, last_id) as client:
                if last_id is None:
                    opened.append(user)
                more, last_id = await texts(client, count - len(found))
                found += [text for text in more if not text.startswith("(")]
        await asyncio.sleep(PAUSE_S)
    return found


def numbers(count: int) -> list[str]:
    """Return what `count` numbered messages say: "0", "1", …."""
    return [str(n) for n in range(count)]


async def http_status(url: str) -> int:
    """Return the status of a GET."""
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.get(url)).status_code
