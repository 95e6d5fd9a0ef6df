"""Who is told what when something fails.

    what happened                  the client is told             the log is told       connection
    a message not understood       error, what is wrong           one INFO line         open
    … for the tenth time           close 1008                     one INFO line         ended
    a refusal (`Refused`)          error with its code            one INFO line         open
    a dependency that is down      error, temporary: true         one WARNING line      open
    a bug of ours                  error `internal`, close 1011   one traceback         ended
    bytes where text is spoken     close 1003                     the registry's line   ended
    a frame that is too big        close 1009, by the server      the registry's line   ended
    text that is not UTF-8         close 1007, by the server      the server's own      ended
    the client left, or a cancel   nothing                        the registry's line   ended

The promises: no text that a client gets holds an exception's words, and no line of the log a
client's; `temporary` is true when the same message may be sent again later, and is absent
otherwise; nobody but the sender notices. Disconnects never come here: reading is the session's,
and its loop ends with them.

Chapter 6. It stands on the router of chapter 1 and the session of chapter 2, and changes
neither.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from labkit.architecture.handlers import Handler, Refused, Router
from labkit.architecture.manager import Connection
from labkit.architecture.messages import ClientMessage, encode
from labkit.resilience.breaker import CircuitOpenError

logger = logging.getLogger(__name__)

M = TypeVar("M", bound=ClientMessage)
E = TypeVar("E", bound=BaseException)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client is told about one kind of failure.

    Attributes:
        code: a short word for its program.
        detail: one fixed sentence for its author.
        temporary: whether the same message may be sent again later.
    """

    code: str
    detail: str
    temporary: bool = False


INTERNAL = Answer("internal", "the server failed: quote the incident when you report it")
UNAVAILABLE = Answer("unavailable", "something we depend on does not answer", temporary=True)

KNOWN: Mapping[type[Exception], Answer] = {
    CircuitOpenError: UNAVAILABLE,
    ConnectionError: UNAVAILABLE,
    TimeoutError: UNAVAILABLE,
}
"""What is a dependency's failure everywhere. Everything else is a bug until it is named."""


class GuardedRouter(Router):
    """A router whose handlers may fail.

    Args:
        known: further errors and their answers, such as those of your database's client. An
            error without an answer is a bug: it closes the connection with 1011.
        max_strikes: how many messages that cannot be understood one connection may send.

    Attributes:
        counts: how many failures of each kind: `bad_message`, `internal`, and the codes of
            refusals and answers. The words are ours, so there are few of them.
    """

    def __init__(
        self, *, known: Mapping[type[Exception], Answer] | None = None, max_strikes: int = 10
    ) -> None:
        super().__init__(max_strikes=max_strikes)
        self.counts: Counter[str] = Counter()
        self._known = {**KNOWN, **(known or {})}

    def on(self, model: type[M]) -> Callable[[Handler[M]], Handler[M]]:
        """Register the decorated function as the handler of `model`, and guard it."""
        register = super().on(model)

        def guard(handler: Handler[M]) -> Handler[M]:
            async def guarded(connection: Connection, message: M) -> None:
                try:
                    result = handler(connection, message)
                    if result is not None:
                        await result
                except Exception as error:
                    if not self._answered(connection, message, error):
                        raise

            register(guarded)
            return handler

        return guard

    async def __call__(self, connection: Connection, text: str) -> None:
        """Answer one message of a client; see `Router.__call__`."""
        strikes = connection.strikes
        await super().__call__(connection, text)
        if connection.strikes > strikes:
            self._note(logging.INFO, connection, "bad_message", "not understood")

    def _answered(self, connection: Connection, message: ClientMessage, error: Exception) -> bool:
        """Tell the client and the log; False when it is for the router or the session to do."""
        if isinstance(error, Refused):
            self._note(logging.INFO, connection, error.code, message.__class__.__name__)
            return False
        answer = self._answer_to(error)
        if answer is None:  # the session logs the traceback under the same id, and closes
            self.counts["internal"] += 1
            _reply(connection, message, INTERNAL, incident=connection.id)
            return False
        waits_s = [each.retry_after_s for each in _leaves(error, CircuitOpenError)]
        _reply(
            connection, message, answer, retry_after_s=math.ceil(max(waits_s, default=0)) or None
        )
        self._note(logging.WARNING, connection, answer.code, type(error).__name__)
        return True

    def _answer_to(self, error: Exception) -> Answer | None:
        """Find the answer of the nearest known class; a group needs one for each of its errors."""
        answers = [self._nearest(type(leaf)) for leaf in _leaves(error, BaseException)]
        return None if None in answers else answers[0]

    def _nearest(self, kind: type[BaseException]) -> Answer | None:
        known: Mapping[Any, Answer] = self._known
        return next((known[each] for each in kind.__mro__ if each in known), None)

    def _note(self, level: int, connection: Connection, code: str, what: str) -> None:
        self.counts[code] += 1
        logger.log(level, "connection %s: %s (%s)", connection.id, code, what)


def _leaves(error: BaseException, kind: type[E]) -> Iterator[E]:
    """Yield the errors of this kind in a group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each, kind)
    elif isinstance(error, kind):
        yield error


def _reply(
    connection: Connection,
    message: ClientMessage,
    answer: Answer,
    *,
    retry_after_s: int | None = None,
    incident: str | None = None,
) -> None:
    reply = encode(
        "error",
        code=answer.code,
        detail=answer.detail,
        temporary=answer.temporary or None,  # absent rather than false
        retry_after_s=retry_after_s,
        incident=incident,
        ref=message.id,
    )
    connection.send(reply)
