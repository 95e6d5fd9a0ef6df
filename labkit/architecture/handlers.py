"""From a client's message to the code that answers it, and no business in between.

A router knows message types and error replies. What a message *means* is in the handlers that
the application registers; how an answer travels is the connection's affair. So each of the
three can be tested, and changed, alone.

Chapter 1. The conversation, in numbers:
    1. The client sends an object with a `type`, and an `id` when it wants to match the answer.
    2. The server answers `{"type": "ok", "ref": id}`, or
       `{"type": "error", "code": …, "detail": …, "ref": id}` and keeps the connection open.
    3. After `max_strikes` messages that cannot be understood, the server closes with 1008.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from labkit.architecture.codes import CloseCode
from labkit.architecture.manager import Connection, Manager, TooManyTopics
from labkit.architecture.messages import (
    BadMessage,
    ClientMessage,
    Ping,
    Pong,
    Subscribe,
    Unsubscribe,
    Vocabulary,
    encode,
)

M = TypeVar("M", bound=ClientMessage)
Handler = Callable[[Connection, M], Awaitable[None] | None]


class Refused(Exception):  # noqa: N818 - what a handler says to the client, not a failure of ours
    """Raised by a handler: the message is understood, and the answer is no.

    Args:
        code: a short word for the client's program, such as `forbidden`.
        detail: one sentence for the client's author.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Router:
    """Parse, look up, call, answer.

    Args:
        max_strikes: how many messages that cannot be understood one connection may send.
    """

    def __init__(self, *, max_strikes: int = 10) -> None:
        self.max_strikes = max_strikes
        self._handlers: dict[type[ClientMessage], Handler[ClientMessage]] = {}
        self._vocabulary: Vocabulary | None = None

    def on(self, model: type[M]) -> Callable[[Handler[M]], Handler[M]]:
        """Register the decorated function as the handler of `model`.

        Raises:
            ValueError: the model has a handler already.
        """
        if model in self._handlers:
            raise ValueError(f"{model.__name__} has a handler already: a message has one")

        def register(handler: Handler[M]) -> Handler[M]:
            self._handlers[model] = handler  # type: ignore[assignment]  # keyed by its own type
            self._vocabulary = Vocabulary(*self._handlers)
            return handler

        return register

    async def __call__(self, connection: Connection, text: str) -> None:
        """Answer one message of a client.

        Raises:
            Exception: whatever a handler raises, but `Refused`: a fault of ours, for the
                session to log and to close with 1011.
        """
        try:
            message = self._parse(text)
            answer = self._handlers[type(message)](connection, message)
            if answer is not None:
                await answer
        except BadMessage as error:
            connection.send(encode("error", code=error.code, detail=error.detail, ref=error.ref))
            connection.strikes += 1
            if connection.strikes >= self.max_strikes:
                connection.close(CloseCode.POLICY_VIOLATION, "too many bad messages")
        except Refused as error:
            connection.send(encode("error", code=error.code, detail=error.detail, ref=message.id))

    def _parse(self, text: str) -> ClientMessage:
        if self._vocabulary is None:
            raise BadMessage("unknown_type", "this endpoint understands no messages")
        return self._vocabulary.parse(text)


def add_subscriptions(
    router: Router, manager: Manager, *, may_subscribe: Callable[[Connection, str], bool]
) -> None:
    """Teach a router `subscribe`, `unsubscribe`, `ping` and `pong`.

    Args:
        router: learns the four messages.
        manager: keeps the subscriptions.
        may_subscribe: whether this connection may hear this topic. There is no default:
            who may listen is a decision, and somebody has to make it.
    """

    @router.on(Subscribe)
    def subscribe(connection: Connection, message: Subscribe) -> None:
        if not may_subscribe(connection, message.topic):
            raise Refused("forbidden", "you may not listen to this topic")
        try:
            manager.subscribe(connection, message.topic)
        except TooManyTopics as error:
            raise Refused("too_many_topics", str(error)) from None
        connection.send(encode("ok", ref=message.id))

    @router.on(Unsubscribe)
    def unsubscribe(connection: Connection, message: Unsubscribe) -> None:
        manager.unsubscribe(connection, message.topic)
        connection.send(encode("ok", ref=message.id))

    @router.on(Ping)
    def ping(connection: Connection, message: Ping) -> None:
        connection.send(encode("pong", ref=message.id))

    @router.on(Pong)
    def pong(connection: Connection, message: Pong) -> None:
        """Do nothing: the session has already noted the sign of life."""
