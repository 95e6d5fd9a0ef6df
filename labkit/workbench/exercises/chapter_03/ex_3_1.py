"""Exercise 3.1: text in, one event out."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, Response

from labkit.testing.clients import SSEClient
from labkit.testing.server import LiveServer
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal, scene

ToWire = Callable[[str, str], str]

exercise = Exercise[ToWire](
    "3.1",
    title="text in, one event out",
    hints=(
        "Every line of the data needs a `data: ` of its own.",
        "A line break in the event's name would begin a new field. Refuse it: `ValueError`.",
        "`splitlines()` loses an empty last line; `split` keeps it. An empty line ends the event.",
    ),
)


@exercise.solution
def to_wire(event: str, data: str) -> str:
    """Return the text of one event: `event: …`, one `data: …` a line, an empty line."""
    # hole: refuse a line break in `event` with ValueError, split `data` at line breaks
    if "\n" in event or "\r" in event:
        raise ValueError("event has a line break: remove it")
    lines = [f"data: {line}" for line in data.split("\n")]
    return "\n".join([f"event: {event}", *lines]) + "\n\n"
    # end


@exercise.wrong("the second line got lost")
def one_data_line(event: str, data: str) -> str:
    """Put the text in as it is."""
    if "\n" in event or "\r" in event:
        raise ValueError("event has a line break")
    return f"event: {event}\ndata: {data}\n\n"


@exercise.wrong("the lines have become one")
def strips_line_breaks(event: str, data: str) -> str:
    """Take the line breaks out."""
    if "\n" in event or "\r" in event:
        raise ValueError("event has a line break")
    return f"event: {event}\ndata: {data.replace(chr(10), '')}\n\n"


@exercise.wrong("no event came")
def forgets_the_empty_line(event: str, data: str) -> str:
    """End with one line break: nothing is dispatched."""
    if "\n" in event or "\r" in event:
        raise ValueError("event has a line break")
    return "\n".join([f"event: {event}", *(f"data: {line}" for line in data.split("\n"))]) + "\n"


@exercise.wrong("a name can smuggle in an event of its own")
def trusts_the_name(event: str, data: str) -> str:
    """Write the name as it comes."""
    lines = [f"data: {line}" for line in data.split("\n")]
    return "\n".join([f"event: {event}", *lines]) + "\n\n"


@exercise.wrong("the empty last line got lost")
def splits_lines(event: str, data: str) -> str:
    """Use `splitlines`, which drops the last empty line."""
    if "\n" in event or "\r" in event:
        raise ValueError("event has a line break")
    return "\n".join([f"event: {event}", *(f"data: {x}" for x in data.splitlines())]) + "\n\n"


@exercise.check
async def check(to_wire: ToWire) -> None:
    """Send three texts over a real stream and compare what a client reads."""
    app = FastAPI()
    texts = {
        "one line": ("hello", "no event came"),
        "two lines": ("hello\nworld", "the second line got lost"),
        "a text that ends with a line break": ("bye\n", "the empty last line got lost"),
    }

    @app.get("/{index}")
    async def endpoint(index: int) -> Response:
        text = list(texts.values())[index][0]
        return Response(to_wire("note", text), media_type="text/event-stream")

    async with LiveServer(app) as server:
        for index, (given, (text, because)) in enumerate(texts.items()):
            async with await SSEClient.connect(f"{server.url}/{index}") as client:
                expect_equal(client.status, 200, given=given, because="`to_wire` raised")
                with scene(given, because="no event came: an event ends with an empty line"):
                    event = await client.next()
            joined = event.data == "helloworld"
            reason = "the lines have become one" if joined else because
            expect_equal(event.data, text, given=given, because=reason)
            expect_equal(event.event, "note", given=given, because="its name is `note`")
    for name in ("a\ndata: forged", "a\rdata: forged"):
        try:
            got = to_wire(name, "x")
        except ValueError:
            continue
        because = "a name can smuggle in an event of its own"
        expect(False, given=f"the name {name!r}", got=repr(got), because=because)
