"""Exercise 12.3: come back for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from fastapi import FastAPI, Request, Response
from starlette.responses import StreamingResponse

from labkit.testing.clients import Disconnected, SSEClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

Follow = Callable[[str, int], Awaitable[list[str]]]

COUNT, PER_STREAM, REFUSALS = 40, 15, 3

exercise = Exercise[Follow](
    "12.3",
    title="come back for the rest",
    hints=(
        "`SSEClient.connect(url, last_event_id=…)` asks for what came after that id.",
        "`await client.next()` raises `Disconnected` when the stream ends, with 503 at once.",
        "The id to come back with is that of the last event you have *taken*.",
        "Pause between two attempts: during a deployment everyone comes back.",
    ),
)


@exercise.solution
async def take_all(url: str, count: int) -> list[str]:
    """Return the data of `count` events, each once, over as many connections as it takes."""
    # hole: connect, take events, remember the last id; when the stream ends, pause and come back
    taken: list[str] = []
    last_id = None
    while len(taken) < count:
        async with await SSEClient.connect(url, last_event_id=last_id) as client:
            with suppress(Disconnected):
                while len(taken) < count:
                    event = await client.next()
                    taken.append(event.data)
                    last_id = event.id
        await asyncio.sleep(0.02)
    return taken
    # end


@exercise.wrong("some came twice")
async def from_the_start(url: str, count: int) -> list[str]:
    """Come back without saying what was seen."""
    taken: list[str] = []
    while len(taken) < count:
        async with await SSEClient.connect(url) as client:
            with suppress(Disconnected):
                while len(taken) < count:
                    taken.append((await client.next()).data)
        await asyncio.sleep(0.02)
    return taken


@exercise.wrong("one 503 is not the end")
async def gives_up(url: str, count: int) -> list[str]:
    """Stop at an error, as a browser's EventSource does."""
    taken: list[str] = []
    last_id = None
    while len(taken) < count:
        async with await SSEClient.connect(url, last_event_id=last_id) as client:
            if client.status != 200:
                return taken
            with suppress(Disconnected):
                while len(taken) < count:
                    event = await client.next()
                    taken.append(event.data)
                    last_id = event.id
        await asyncio.sleep(0.02)
    return taken


@exercise.wrong("counted is not the same as numbered")
async def counts(url: str, count: int) -> list[str]:
    """Use the number of events as their id."""
    taken: list[str] = []
    while len(taken) < count:
        last_id = str(len(taken)) if taken else None
        async with await SSEClient.connect(url, last_event_id=last_id) as client:
            with suppress(Disconnected):
                while len(taken) < count:
                    taken.append((await client.next()).data)
        await asyncio.sleep(0.02)
    return taken


class Deployment:
    """A server that ends each stream early, and refuses those who come back for a moment."""

    def __init__(self) -> None:
        self.deploying = False
        self.refused = 0
        self.foreign: list[str] = []
        app = FastAPI()
        app.get("/events")(self.events)
        self.server = LiveServer(app)

    async def events(self, request: Request) -> Response:
        """Answer with the events after `Last-Event-ID`: `e0` to `e39`."""
        last_id = request.headers.get("last-event-id", "")
        if self.deploying and self.refused < REFUSALS:
            self.refused += 1
            return Response("deploying", 503)
        if last_id and not last_id.startswith("e"):
            self.foreign.append(last_id)
        first = int(last_id[1:]) + 1 if last_id.startswith("e") else 0
        return StreamingResponse(self.body(first), media_type="text/event-stream")

    async def body(self, first: int) -> AsyncIterator[str]:
        """Send a part of what is left; after the first part there is a deployment."""
        for number in range(first, min(first + PER_STREAM, COUNT)):
            yield f"id: e{number}\ndata: {number}\n\n"
        self.deploying = True


@exercise.check
async def check(take_all: Follow) -> None:
    """Forty events, streams that end after fifteen, and a deployment in between."""
    deployment = Deployment()
    async with deployment.server as server:
        got = await take_all(f"{server.url}/events", COUNT)
    given = f"{COUNT} events, and a server that ends each stream after {PER_STREAM}"
    because = "one 503 is not the end: it means later"
    expect(
        not deployment.refused or len(got) > PER_STREAM,
        given="a server that answers 503 for a moment",
        got=f"{len(got)} events",
        because=because,
    )
    because = "counted is not the same as numbered: the id is the server's, of the last event"
    got_ids = deployment.foreign[:1]
    expect(not got_ids, given=given, got=f"Last-Event-ID: {got_ids}", because=because)
    if len(set(got)) < len(got):
        because = "some came twice: say what was the last you had"
        expect(False, given=given, got=f"{len(got) - len(set(got))} of them twice", because=because)
    expect_equal(got, list(map(str, range(COUNT))), given=given, because="each once, in order")
