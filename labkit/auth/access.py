"""Who may do what to which topic, with *no* as the answer to everything else.

The promises: what no rule allows is refused; a message type cannot be registered without saying
what it needs; a permission is asked for when a client subscribes *and* when a message is
delivered, so that withdrawing it works at once. Who asks is what authentication said, never what
a message says.

Chapter 5. The rules are pure; the manager and the router are chapter 1's with the question built
in.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import NamedTuple, TypeVar

from labkit.architecture.codes import CloseCode
from labkit.architecture.handlers import Handler, Refused, Router, add_subscriptions
from labkit.architecture.manager import Connection, Manager
from labkit.architecture.messages import ClientMessage, Outgoing

logger = logging.getLogger(__name__)

M = TypeVar("M", bound=ClientMessage)

MAX_ANSWERS = 10_000


class Action(StrEnum):
    """What can be done to a topic."""

    LISTEN = "listen"
    PUBLISH = "publish"
    MANAGE = "manage"


class Rule(NamedTuple):
    """One thing that is allowed.

    Attributes:
        action: what may be done.
        topic: a topic; `{user}` in it stands for whoever asks, `:*` at its end for everything
            below. Such a pattern is the server's: a client names one topic.
    """

    action: Action
    topic: str

    def allows(self, user: str | None, action: Action, topic: str) -> bool:
        """Say whether it allows this."""
        wanted = self.topic
        if "{user}" in wanted:
            if not user or ":" in user or "*" in user:
                return False
            wanted = wanted.replace("{user}", user)
        below = wanted.endswith(":*")
        fits = topic.startswith(wanted[:-1]) if below else topic == wanted
        return fits and action == self.action


class Access:
    """The rules, by subject. `None` is everyone, signed in or not.

    Args:
        on_withdraw: called after a rule was withdrawn; `Live.recheck` ends the streams that are
            not allowed any more.

    Attributes:
        denied: how often the answer was no, by action.
    """

    def __init__(self, on_withdraw: Callable[[], object] = lambda: None) -> None:
        self.denied: Counter[Action] = Counter()
        self._rules: dict[str | None, set[Rule]] = {}
        self._answers: dict[tuple[str | None, Action, str], bool] = {}
        self._on_withdraw = on_withdraw

    def allow(self, user: str | None, action: Action, topic: str) -> None:
        """Add a rule for one user, or for everyone with None."""
        self._rules.setdefault(user, set()).add(Rule(action, topic))
        self._answers.clear()

    def withdraw(self, user: str | None, action: Action, topic: str) -> None:
        """Take a rule back. Idempotent."""
        self._rules.get(user, set()).discard(Rule(action, topic))
        self._answers.clear()
        self._on_withdraw()

    def may(self, user: str | None, action: Action, topic: str) -> bool:
        """Say whether some rule allows it. Everything else is a no.

        An answer is remembered until a rule changes: it is asked for at every delivery.
        """
        question = user, action, topic
        if question not in self._answers:
            if len(self._answers) >= MAX_ANSWERS:
                self._answers.clear()
            rules = (*self._rules.get(None, ()), *self._rules.get(user, ()))
            self._answers[question] = any(rule.allows(*question) for rule in rules)
        return self._answers[question]

    def ask(self, user: str | None, action: Action, topic: str) -> bool:
        """Answer a client's request: as `may`, and a no is counted and logged."""
        allowed = self.may(user, action, topic)
        if not allowed:
            self.denied[action] += 1
            logger.info("denied: %s may not %s here", user, action)
        return allowed


class GuardedManager(Manager):
    """A manager that asks before it delivers.

    Args:
        access: answers.
        max_topics: how many topics one connection may listen to.
    """

    def __init__(self, access: Access, *, max_topics: int = 128) -> None:
        super().__init__(max_topics=max_topics)
        self._access = access

    def publish(self, topic: str, message: Outgoing) -> int:
        """Send to everyone who listens and still may; the others do not listen any more."""
        for connection in tuple(self._by_topic.get(topic, ())):
            if not self._access.may(connection.user, Action.LISTEN, topic):
                self.unsubscribe(connection, topic)
        return super().publish(topic, message)


class GuardedRouter:
    """A router in which every message type says what it needs.

    It knows `subscribe`, `unsubscribe`, `ping` and `pong` from the start.

    Args:
        manager: keeps the subscriptions; None when the application teaches its own four.
        access: answers.
        max_denials: how many times one connection may be told no; then it is closed with 4501.
    """

    def __init__(self, manager: Manager | None, access: Access, *, max_denials: int = 10) -> None:
        self.max_denials = max_denials
        self._access = access
        self._router = Router()
        if manager is not None:
            add_subscriptions(self._router, manager, may_subscribe=self._may_listen)

    def on(
        self, model: type[M], *, action: Action, topic: str | Callable[[M], str]
    ) -> Callable[[Handler[M]], Handler[M]]:
        """Register the decorated function as the handler of `model`.

        There is no default for what it needs: a forgotten permission is a TypeError at import.

        Args:
            model: the message.
            action: what the message does.
            topic: to which topic; a function when the message names it.
        """

        def register(handler: Handler[M]) -> Handler[M]:
            def guarded(connection: Connection, message: M) -> Awaitable[None] | None:
                named = topic(message) if callable(topic) else topic
                if not self._may(connection, action, named):
                    raise Refused("forbidden", "you may not do that")
                return handler(connection, message)

            self._router.on(model)(guarded)
            return handler

        return register

    def open_to_all(self, model: type[M]) -> Callable[[Handler[M]], Handler[M]]:
        """Register the handler of a message that touches nothing but its own connection."""
        return self._router.on(model)

    async def __call__(self, connection: Connection, text: str) -> None:
        """Answer one message of a client; see `Router`."""
        await self._router(connection, text)

    def _may_listen(self, connection: Connection, topic: str) -> bool:
        return self._may(connection, Action.LISTEN, topic)

    def _may(self, connection: Connection, action: Action, topic: str) -> bool:
        allowed = self._access.ask(connection.user, action, topic)
        if not allowed:
            connection.strikes += 1
            if connection.strikes >= self.max_denials:
                connection.close(CloseCode.FORBIDDEN, "too many denials")
        return allowed
