"""Exercise 3.3: all that was missed, or the truth."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from labkit.sse.format import Event, encode
from labkit.testing.clients import SSEClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect_equal, scene

Missed = Callable[[list[tuple[int, str]], str], list[str] | None]

exercise = Exercise[Missed](
    "3.3",
    title="all that was missed, or the truth",
    hints=(
        "`history` holds the last events as (number, text), oldest first.",
        "The client has the event whose number it names. It needs the ones after it.",
        "If the event after the client's is no longer there, something is lost: return None.",
        "An id that is no number, or from the future, is not an error: return None.",
    ),
)


@exercise.solution
def missed(history: list[tuple[int, str]], last_event_id: str) -> list[str] | None:
    """Return the texts after `last_event_id`; None if it cannot be told that these are all."""
    # hole: numbers follow each other without a gap; the id comes from outside, as text
    try:
        last = int(last_event_id)
    except ValueError:
        return None
    if not history or not history[0][0] - 1 <= last <= history[-1][0]:
        return None
    return [text for number, text in history if number > last]
    # end


@exercise.wrong("the client has that one already")
def once_more(history: list[tuple[int, str]], last_event_id: str) -> list[str] | None:
    """Send the last one again."""
    if not last_event_id.isdecimal():
        return None
    last = int(last_event_id)
    if not history or not history[0][0] - 1 <= last <= history[-1][0]:
        return None
    return [text for number, text in history if number >= last]


@exercise.wrong("a part is worse than the truth")
def a_part(history: list[tuple[int, str]], last_event_id: str) -> list[str] | None:
    """Send what is left and say nothing of the rest."""
    if not last_event_id.isdecimal() or int(last_event_id) > history[-1][0]:
        return None
    return [text for number, text in history if number > int(last_event_id)]


@exercise.wrong("whoever sends this gets no stream at all")
def raises(history: list[tuple[int, str]], last_event_id: str) -> list[str] | None:
    """Believe that it is a number."""
    last = int(last_event_id)
    if not history[0][0] - 1 <= last <= history[-1][0]:
        return None
    return [text for number, text in history if number > last]


@exercise.wrong("nothing is missing")
def must_be_in_it(history: list[tuple[int, str]], last_event_id: str) -> list[str] | None:
    """Ask for the event itself, though only those after it are needed."""
    numbers = [str(number) for number, _ in history]
    if last_event_id not in numbers:
        return None
    return [text for _, text in history[numbers.index(last_event_id) + 1 :]]


@exercise.wrong("it has seen what was never sent here")
def believes_the_future(history: list[tuple[int, str]], last_event_id: str) -> list[str] | None:
    """Find nothing after an id of another server, and call it complete."""
    if not last_event_id.isdecimal() or int(last_event_id) < history[0][0] - 1:
        return None
    return [text for number, text in history if number > int(last_event_id)]


HISTORY = [(n, f"event {n}") for n in range(5, 10)]
CASES: tuple[tuple[str, list[str] | None, str], ...] = (
    ("7", ["event 8", "event 9"], "the client has that one already"),
    ("9", [], "nothing is missing"),
    ("4", [f"event {n}" for n in range(5, 10)], "nothing is missing: 5 is still there"),
    ("2", None, "a part is worse than the truth"),
    ("1000", None, "it has seen what was never sent here"),
    ("abc", None, "whoever sends this gets no stream at all"),
    ("", None, "whoever sends this gets no stream at all"),
)


@exercise.check
async def check(missed: Missed) -> None:
    """Seven clients reconnect to a real stream, each with its own Last-Event-ID."""
    app = FastAPI()

    @app.get("/events")
    async def endpoint(request: Request) -> StreamingResponse:
        found = missed(HISTORY, request.headers.get("last-event-id", ""))

        async def body() -> AsyncIterator[bytes]:
            if found is None:
                yield encode(Event("", "gap"))
            for text in found or ():
                yield encode(Event(text))
            yield encode(Event("", "live"))

        return StreamingResponse(body(), media_type="text/event-stream")

    async with LiveServer(app) as server:
        for last_event_id, wanted, because in CASES:
            given = f"events 5 to 9, and a client that has seen {last_event_id or 'nothing'}"
            async with await SSEClient.connect(
                f"{server.url}/events", last_event_id=last_event_id
            ) as client:
                expect_equal(client.status, 200, given=given, because=because)
                with scene(given, because="the stream broke"):
                    events = [await client.next()]
                    while events[-1].event != "live":
                        events.append(await client.next())
            kinds = [event.event or event.data for event in events[:-1]]
            expect_equal(kinds, ["gap"] if wanted is None else wanted, given=given, because=because)
