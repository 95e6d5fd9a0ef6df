"""Exercise 9.4: a book of listeners that empties itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from labkit.workbench.exercises.engine import Exercise, expect, expect_equal


class Listener(Protocol):
    """A connection: `send` never waits."""

    def send(self, text: str) -> None:
        """Take one message."""


class Shelf(Protocol):
    """What the learner writes."""

    topics: dict[str, set[Any]]

    def subscribe(self, listener: Any, topic: str) -> None:
        """Let the listener hear the topic."""

    def leave(self, listener: Any) -> None:
        """Forget the listener."""

    def publish(self, topic: str, data: object) -> int:
        """Send to everyone who listens."""


exercise = Exercise[Callable[[], Shelf]](
    "9.4",
    title="a book that empties itself",
    hints=(
        "`json.dumps(data, allow_nan=False)` before the loop: who publishes gets the error.",
        "Look at a topic without making it: `.get(topic, ())`. Make it only in `subscribe`.",
        "Walk over a copy, `tuple(members)`: whoever is called may subscribe or leave.",
        "When the last member has gone, `del self.topics[topic]`.",
    ),
)


@exercise.solution
class Book:
    """Who listens to what, by the connection itself."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.topics: dict[str, set[Any]] = {}

    def subscribe(self, listener: Any, topic: str) -> None:
        """Let the listener hear the topic."""
        self.topics.setdefault(topic, set()).add(listener)

    def leave(self, listener: Any) -> None:
        """Forget the listener, and every topic that nobody listens to any more."""
        # hole: out of all topics; delete those that are empty
        for topic, members in tuple(self.topics.items()):
            members.discard(listener)
            if not members:
                del self.topics[topic]
        # end

    def publish(self, topic: str, data: object) -> int:
        """Send strict JSON to everyone who listens now; ValueError or TypeError if it is none."""
        # hole: encode once, before anyone gets it; walk over a copy; return how many
        text = json.dumps(data, allow_nan=False)
        members = tuple(self.topics.get(topic, ()))
        for listener in members:
            listener.send(text)
        return len(members)
        # end


class _Base:
    def __init__(self) -> None:
        self.topics: dict[str, set[Any]] = {}

    def subscribe(self, listener: Any, topic: str) -> None:
        self.topics.setdefault(topic, set()).add(listener)

    def leave(self, listener: Any) -> None:
        for topic, members in tuple(self.topics.items()):
            members.discard(listener)
            if not members:
                del self.topics[topic]

    def publish(self, topic: str, data: object) -> int:
        text = json.dumps(data, allow_nan=False)
        members = tuple(self.topics.get(topic, ()))
        for listener in members:
            listener.send(text)
        return len(members)


@exercise.wrong("topics that nobody listens to are still there")
class KeepsEmptyTopics(_Base):
    """Do as the guide does: take the member out, and leave the set."""

    def leave(self, listener: Any) -> None:
        """Discard."""
        for members in self.topics.values():
            members.discard(listener)


@exercise.wrong("a question made a topic")
class AsksAndMakes(_Base):
    """Do as a defaultdict does."""

    def publish(self, topic: str, data: object) -> int:
        """Look, and leave a set behind."""
        text = json.dumps(data, allow_nan=False)
        members = tuple(self.topics.setdefault(topic, set()))
        for listener in members:
            listener.send(text)
        return len(members)


@exercise.wrong("the publisher must hear of it")
class ThrowsTheReadersOut(_Base):
    """Take a message that cannot be encoded for a reader that is gone."""

    def publish(self, topic: str, data: object) -> int:
        """Encode for each, and evict whoever fails."""
        reached = 0
        for listener in tuple(self.topics.get(topic, ())):
            try:
                listener.send(json.dumps(data, allow_nan=False))
                reached += 1
            except (TypeError, ValueError):
                self.leave(listener)
        return reached


@exercise.wrong("no browser can read NaN")
class SendsWhatPythonWrites(_Base):
    """Trust `json.dumps`."""

    def publish(self, topic: str, data: object) -> int:
        """Encode with the defaults."""
        text = json.dumps(data)
        members = tuple(self.topics.get(topic, ()))
        for listener in members:
            listener.send(text)
        return len(members)


@exercise.wrong("somebody joined in the middle of it")
class WalksOverTheSetItself(_Base):
    """Save a copy."""

    def publish(self, topic: str, data: object) -> int:
        """Walk over the members themselves."""
        text = json.dumps(data, allow_nan=False)
        members = self.topics.get(topic, set())
        for listener in members:
            listener.send(text)
        return len(members)


class _Ear:
    """A listener that keeps what it heard; one of them brings a friend."""

    def __init__(self, book: Shelf | None = None) -> None:
        self.heard: list[Any] = []
        self._book = book

    def send(self, text: str) -> None:
        self.heard.append(json.loads(text))
        if self._book is not None:
            book, self._book = self._book, None
            book.subscribe(_Ear(), "news")


@exercise.check
async def check(make: Callable[[], Shelf]) -> None:
    """Churn, nobody, poison, and somebody who joins meanwhile."""
    book = make()
    ears = [_Ear() for _ in range(200)]
    for number, ear in enumerate(ears):
        book.subscribe(ear, f"user.{number}")
        book.subscribe(ear, "news")
    for ear in ears:
        book.leave(ear)
    because = "topics that nobody listens to are still there: delete them with the last one"
    expect_equal(len(book.topics), 0, given="200 clients that came and went", because=because)
    book.publish("nobody", 1)
    because = "a question made a topic: look without making one"
    expect_equal(len(book.topics), 0, given="a message to nobody", because=because)
    five = [_Ear() for _ in range(5)]
    for ear in five:
        book.subscribe(ear, "news")
    for name, poison in (("an object", object()), ("NaN", float("nan"))):
        got: object = "nothing raised"
        try:
            book.publish("news", poison)
        except (TypeError, ValueError):
            got = "raised"
        because = (
            "no browser can read NaN: allow_nan=False"
            if name == "NaN"
            else "the publisher must hear of it, and nobody else"
        )
        expect(got == "raised", given=f"{name} as data", got=got, because=because)
    book.publish("news", {"n": 1})
    heard = sum(ear.heard == [{"n": 1}] for ear in five)
    expect_equal(heard, 5, given="the message after it", because="poison harmed the readers")
    book.subscribe(_Ear(book), "news")
    try:
        book.publish("news", {"n": 2})
    except RuntimeError as error:
        because = "somebody joined in the middle of it: walk over a copy"
        expect(False, given="a listener that brings a friend", got=str(error), because=because)
