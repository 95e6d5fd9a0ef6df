"""Exercise 10.2: labels that no client can invent."""

from __future__ import annotations

import json
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter

from labkit.workbench.exercises.engine import Exercise, Refused, expect, expect_equal

Count = Callable[[Counter, frozenset[str], str], None]

KNOWN = frozenset({"chat", "ping"})
OTHERS = ("not json", "[1]", '"chat"', "{}", '{"type": null}', '{"type": ["chat"]}', "[" * 3000)

exercise = Exercise[Count](
    "10.2",
    title="labels that no client can invent",
    hints=(
        "Each new value of a label is a new series, for ever. Only our own words may be values.",
        'What is not in `known` is `"other"`, and is counted as well.',
        "A `type` can be a list, and a list cannot be looked up in a set: ask `isinstance` first.",
        "`json.loads` raises ValueError, and RecursionError for very many brackets.",
    ),
)


@exercise.solution
def count(messages: Counter, known: frozenset[str], text: str) -> None:
    """Count one message by its type; whatever is not known, or not even a message, is `other`."""
    # hole: find the type, decide the label, `messages.labels(label).inc()`; never raise
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    kind = message.get("type") if isinstance(message, dict) else None
    label = kind if isinstance(kind, str) and kind in known else "other"
    messages.labels(label).inc()
    # end


@exercise.wrong("a client makes as many series as it likes")
def as_the_client_says(messages: Counter, known: frozenset[str], text: str) -> None:
    """Take the type as it comes, as the guide does."""
    try:
        messages.labels(json.loads(text).get("type", "unknown")).inc()
    except (ValueError, AttributeError, RecursionError):
        messages.labels("other").inc()


@exercise.wrong("100 series · a client makes")
def first_come(messages: Counter, known: frozenset[str], text: str) -> None:
    """Give the first hundred types a label: the first who comes takes them all."""
    try:
        kind = str(json.loads(text)["type"])
    except (ValueError, TypeError, KeyError, RecursionError):
        kind = "other"
    room = len(messages._metrics) < 99 or kind in known
    messages.labels(kind if room else "other").inc()


@exercise.wrong("it raised TypeError")
def looks_up_a_list(messages: Counter, known: frozenset[str], text: str) -> None:
    """Ask the set first, whatever it is."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    kind = message.get("type") if isinstance(message, dict) else None
    messages.labels(kind if kind in known else "other").inc()


@exercise.wrong("every message counts")
def ignores_the_others(messages: Counter, known: frozenset[str], text: str) -> None:
    """Count what is known."""
    try:
        kind = json.loads(text)["type"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    if isinstance(kind, str) and kind in known:
        messages.labels(kind).inc()


@exercise.wrong("it raised")
def believes_in_json(messages: Counter, known: frozenset[str], text: str) -> None:
    """Trust that it is a message."""
    kind = json.loads(text).get("type")
    messages.labels(kind if isinstance(kind, str) and kind in known else "other").inc()


def _feed(count: Count, counter: Counter, texts: list[str]) -> None:
    for text in texts:
        try:
            count(counter, KNOWN, text)
        except Exception as error:
            because = "a metric must not end a conversation"
            raise Refused(
                given=text[:40], got=f"it raised {type(error).__name__}", because=because
            ) from error


@exercise.check
async def check(count: Count) -> None:
    """Known types, a thousand invented ones, and what is no message at all."""
    registry = CollectorRegistry()
    counter = Counter("messages", "By type", ["type"], registry=registry)

    def seen() -> dict[str, float]:
        samples = [each for metric in registry.collect() for each in metric.samples]
        return {s.labels["type"]: s.value for s in samples if s.name == "messages_total"}

    _feed(count, counter, ['{"type": "chat"}'] * 3 + ['{"type": "ping"}'])
    expect_equal(seen(), {"chat": 3, "ping": 1}, given="3 chat, 1 ping", because="by type")
    _feed(count, counter, [json.dumps({"type": f"x{n}"}) for n in range(1000)])
    because = "a client makes as many series as it likes"
    got = f"{len(seen())} series" if len(seen()) > 1 else "1 series"
    expect(len(seen()) <= len(KNOWN) + 1, given="1000 invented types", got=got, because=because)
    _feed(count, counter, list(OTHERS))
    given, because = "everything so far", "every message counts, as `other` if need be"
    expect_equal(sum(seen().values()), 4.0 + 1000 + len(OTHERS), given=given, because=because)
    because = "what is not known is `other`"
    expect_equal(sorted(seen()), ["chat", "other", "ping"], given=given, because=because)
