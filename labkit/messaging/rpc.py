"""Ask one client, and get the answer of that client, or the reason why there is none.

The promises:
    - Only the connection that was asked can answer. A guessed, leaked or shared id is worth
      nothing on another one, so ids need not be secret, and are not.
    - Whoever asks is told: an answer, `PeerRefused`, `PeerGone` at once, or `TimeoutError`.
    - Whatever ends the wait, nothing of it is kept; one connection is asked a bounded number of
      questions at a time.
    - A handler may ask its own client: the answer overtakes what waits for the handler. Only an
      answer that is waited for does, so there are never more of them than questions.

Chapter 9.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from labkit.architecture.handlers import Refused, Router
from labkit.architecture.manager import Connection, Manager
from labkit.architecture.messages import BadMessage, ClientMessage, Vocabulary, encode


class Answer(ClientMessage):
    """The client's answer to the question whose `id` is `ref`."""

    type: Literal["answer"]
    ref: Annotated[str, Field(max_length=64)]
    data: JsonValue = None


class Refusal(ClientMessage):
    """The client does not answer the question, and says why."""

    type: Literal["refusal"]
    ref: Annotated[str, Field(max_length=64)]
    code: Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")]


ANSWERS = Vocabulary(Answer, Refusal)


class PeerGone(ConnectionError):  # noqa: N818 - what happened, not whose fault
    """The client is not connected any more, or takes no messages."""


class PeerRefused(Refused):
    """The client answered that it does not answer; `why` is its word, not ours.

    A handler that lets it pass refuses its own message for that reason.
    """

    def __init__(self, why: str) -> None:
        super().__init__("peer_refused", "the client that was asked said no")
        self.why = why


class TooManyQuestions(Refused):
    """The connection has not answered `max_waiting` questions yet."""

    def __init__(self) -> None:
        super().__init__("too_many_questions", "the client that was asked owes answers already")


class Asks:
    """The questions of one process, each of one connection.

    Args:
        manager: knows who is connected, and tells who has gone.
        max_waiting: questions that one connection may leave open.
    """

    def __init__(self, manager: Manager, *, max_waiting: int = 16) -> None:
        self.max_waiting = max_waiting
        self._manager = manager
        self._ids = count(1)
        self._waiting: dict[Connection, dict[str, asyncio.Future[Answer | Refusal | None]]] = {}

    @property
    def pending(self) -> dict[Connection, int]:
        """How many answers are waited for, of those that owe any."""
        return {each: len(waiting) for each, waiting in self._waiting.items()}

    async def ask(
        self, connection: Connection, question: str, /, *, timeout_s: float, **fields: object
    ) -> Any:  # noqa: ANN401 - JSON of the client's, to be validated like any other
        """Send a question to one client and return the `data` of its answer.

        Args:
            connection: who is asked.
            question: what the client's program looks at.
            timeout_s: seconds until the answer must be here.
            fields: further fields of the question.

        Raises:
            PeerGone: it was not connected, or left before it answered.
            PeerRefused: it said no.
            TimeoutError: it said nothing in time.
            TooManyQuestions: it owes too many answers.
            ValueError: a field holds what JSON cannot; nothing was sent.
        """
        ref = str(next(self._ids))
        message = encode("ask", key=None, id=ref, question=question, **fields)
        waiting = self._room_for_one_more(connection)
        reply = waiting[ref] = asyncio.get_running_loop().create_future()
        try:
            if not connection.send(message):
                raise PeerGone("the client takes no more messages")
            async with asyncio.timeout(timeout_s):
                answer = await reply
        finally:
            self._forget(connection, ref)
        if answer is None:
            raise PeerGone("the client left before it answered")
        if isinstance(answer, Refusal):
            raise PeerRefused(answer.code)
        return answer.data

    def overtakes(self, connection: Connection, message: str | bytes) -> bool:
        """Take an answer that is waited for, before its turn: `overtakes` of a session."""
        if connection not in self._waiting or isinstance(message, bytes):
            return False
        try:
            return self._settle(connection, ANSWERS.parse(message))
        except BadMessage:
            return False  # in its turn, the router will explain it

    def teach(self, router: Router) -> None:
        """Let a router know answers that nobody waits for: late, or repeated. They are ignored."""

        @router.on(Answer)
        def answer(connection: Connection, message: Answer) -> None:
            self._settle(connection, message)

        @router.on(Refusal)
        def refusal(connection: Connection, message: Refusal) -> None:
            self._settle(connection, message)

    def _room_for_one_more(
        self, connection: Connection
    ) -> dict[str, asyncio.Future[Answer | Refusal | None]]:
        if connection not in self._manager:
            raise PeerGone("the client is not connected")
        connection.when_gone(self._gone)
        waiting = self._waiting.setdefault(connection, {})
        if len(waiting) >= self.max_waiting:
            raise TooManyQuestions
        return waiting

    def _settle(self, connection: Connection, message: Any) -> bool:  # noqa: ANN401 - see ANSWERS
        reply = self._waiting.get(connection, {}).get(message.ref)
        if reply is None or reply.done():
            return False
        reply.set_result(message)
        return True

    def _gone(self, connection: Connection) -> None:
        for reply in self._waiting.pop(connection, {}).values():
            if not reply.done():
                reply.set_result(None)

    def _forget(self, connection: Connection, ref: str) -> None:
        waiting = self._waiting.get(connection)
        if waiting is not None:
            waiting.pop(ref, None)
            if not waiting:
                del self._waiting[connection]
