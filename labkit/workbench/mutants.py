"""Eight copies of the small server in `room` that each make one mistake.

Every mistake is one of an earlier chapter. Tests are worth something when they are green on the
server and red on every copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Self

from labkit.architecture import CloseCode, Connection, Manager, Outgoing
from labkit.workbench.room import GLANCE_S, Room


class Mutant(Room):
    """A copy with one mistake."""

    patience_s = 0.5


class EveryoneHears(Mutant):
    """Publishing forgets the topic."""

    name, chapter = "everyone hears everything", "1"

    def deliver(self, topic: str, message: Outgoing) -> None:  # noqa: ARG002, D102 - its mistake
        for connection in self.manager:
            connection.send(message)


class OnlyAWord(Mutant):
    """Unsubscribing is answered, and that is all."""

    name, chapter = "unsubscribe is only a word", "1"

    class _Manager(Manager):
        def unsubscribe(self, connection: Connection, topic: str) -> None:
            if connection not in self:  # it is leaving
                super().unsubscribe(connection, topic)

    def make_manager(self) -> Manager:  # noqa: D102 - its mistake
        return self._Manager()


class SlowestSetsThePace(Mutant):
    """Publishing waits for one listener after the other."""

    name, chapter = "the slowest sets the pace", "1"

    def __init__(self) -> None:
        super().__init__()
        self._waiting: asyncio.Queue[tuple[str, Outgoing]] = asyncio.Queue()

    def deliver(self, topic: str, message: Outgoing) -> None:  # noqa: D102 - its mistake
        self._waiting.put_nowait((topic, message))

    async def _pump(self) -> None:
        while True:
            topic, message = await self._waiting.get()
            for connection in self.manager:
                if topic in connection.topics and connection.send(message):
                    while connection.outbox.waiting:  # noqa: ASYNC110 - its mistake
                        await asyncio.sleep(GLANCE_S)

    async def __aenter__(self) -> Self:
        self._pumping = asyncio.create_task(self._pump())
        return await super().__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        self._pumping.cancel()
        await super().__aexit__(*exc_info)


class OneBadMessage(Mutant):
    """What is not JSON ends the connection."""

    name, chapter = "one bad message ends it", "2"

    async def heard(self, connection: Connection, text: str) -> None:  # noqa: D102 - its mistake
        try:
            json.loads(text)
        except ValueError:
            connection.close(CloseCode.INTERNAL_ERROR, "server error")
        else:
            await super().heard(connection, text)


class TaskOutlives(Mutant):
    """Every connection starts a task that nobody ends."""

    name, chapter = "a task outlives its client", "2"

    def __init__(self) -> None:
        super().__init__()
        self.left: list[asyncio.Task[bool]] = []

    def opened(self, connection: Connection) -> None:  # noqa: ARG002, D102 - its mistake
        self.left.append(asyncio.create_task(asyncio.Event().wait(), name="heartbeat"))


class AnyoneMayListen(Mutant):
    """Nobody asks who may listen."""

    name, chapter = "anyone may listen", "5"

    def may_listen(self, _connection: Connection, topic: str) -> bool:  # noqa: ARG002, D102
        return True


class HauntedManager(Manager):
    """A registry in which whoever leaves stays subscribed."""

    def remove(self, connection: Connection) -> None:
        """Forget everything but the topics."""
        listened, connection.topics = connection.topics, set()
        super().remove(connection)
        connection.topics = listened


class Ghosts(Mutant):
    """Leaving is not the end of a subscription."""

    name, chapter = "ghosts stay subscribed", "9"

    def make_manager(self) -> Manager:  # noqa: D102 - its mistake
        return HauntedManager()


class WhichQuestion(Mutant):
    """Answers do not say what they answer."""

    name, chapter = "answers to no question", "9"

    async def heard(self, connection: Connection, text: str) -> None:  # noqa: D102 - its mistake
        with contextlib.suppress(ValueError):
            message = json.loads(text)
            text = json.dumps({key: message[key] for key in message if key != "id"})
        await super().heard(connection, text)


MUTANTS: tuple[type[Mutant], ...] = (
    EveryoneHears,
    OnlyAWord,
    SlowestSetsThePace,
    OneBadMessage,
    TaskOutlives,
    AnyoneMayListen,
    Ghosts,
    WhichQuestion,
)
