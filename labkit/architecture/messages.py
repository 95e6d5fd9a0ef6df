"""What crosses the wire: parsed once on the way in, encoded once on the way out.

The promise: whatever a client sends, `Vocabulary.parse` returns a validated message or raises
`BadMessage`, and nothing else. The texts of `BadMessage` never repeat the client's input, so
they can be sent back and logged as they are. Whatever a publisher sends is encoded before
anyone receives it, so a bad payload fails at the publisher and harms no connection.

Chapter 1. Pure: knows neither sockets nor frameworks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:/-]{1,255}$")]
"""A topic's name: 1 to 255 letters, digits or `_.:/-`. There are no wildcards."""


class ClientMessage(BaseModel):
    """What a client may send: strict types, no unknown fields, immutable.

    A subclass gives `type` one literal value. `id`, when present, comes back as `ref` in
    every answer to the message.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    id: Annotated[str, Field(max_length=64)] | None = None


class Subscribe(ClientMessage):
    """Ask for everything published on a topic from now on."""

    type: Literal["subscribe"]
    topic: Topic


class Unsubscribe(ClientMessage):
    """Ask for no more of it."""

    type: Literal["unsubscribe"]
    topic: Topic


class Ping(ClientMessage):
    """Ask for a sign of life."""

    type: Literal["ping"]


class Pong(ClientMessage):
    """Answer the server's ping. Any message counts as a sign of life; this one says only that."""

    type: Literal["pong"]


class BadMessage(Exception):  # noqa: N818 - it names the message, in the field's terms
    """A client's message that cannot be understood.

    Attributes:
        code: one of `bad_json`, `not_an_object`, `unknown_type`, `bad_field`.
        detail: one sentence for the client's author, free of the client's input.
        ref: the message's own `id`, when it had a usable one.
    """

    def __init__(self, code: str, detail: str, ref: str | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.ref = ref


class Vocabulary:
    """The message types that one endpoint understands.

    Args:
        models: subclasses of `ClientMessage`, each with its own literal `type`.
    """

    def __init__(self, *models: type[ClientMessage]) -> None:
        union: Any = Annotated[Union[models], Field(discriminator="type")]  # noqa: UP007 - from a tuple
        self._tagged = len(models) > 1
        self._adapter: TypeAdapter[ClientMessage] = TypeAdapter(
            union if self._tagged else models[0]
        )

    def parse(self, text: str) -> ClientMessage:
        """Turn a client's text into one of the models.

        Raises:
            BadMessage: the text is not such a message.
        """
        try:
            raw = from_json(text, allow_inf_nan=False)
        except (ValueError, TypeError):  # TypeError: a text that is not Unicode
            raise BadMessage("bad_json", "the message is not valid JSON") from None
        if not isinstance(raw, dict):
            raise BadMessage("not_an_object", "a message is a JSON object with a `type`")
        try:
            return self._adapter.validate_python(raw)
        except ValidationError as error:
            raise _explain(error, raw.get("id"), tagged=self._tagged) from None


def _explain(error: ValidationError, ref: object, *, tagged: bool) -> BadMessage:
    """Name the field and what it must be, in words that hold nothing of the input.

    A place begins with the message's type, when it was `tagged` by one, and then the field. What
    follows may be a key of the client's own.
    """
    ref = ref if isinstance(ref, str) and len(ref) <= 64 else None  # noqa: PLR2004 - as in ClientMessage
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = first["loc"][1:] if tagged else first["loc"]
    field = str(place[0]) if place else "message"
    if first["type"].startswith("union_tag") or field == "type":
        return BadMessage("unknown_type", "`type` is not one that this endpoint knows", ref)
    if first["type"] == "extra_forbidden":
        return BadMessage("bad_field", "the message has a field that its type does not have", ref)
    rule = {"missing": "is missing", "string_pattern_mismatch": "has a form that is not allowed"}
    return BadMessage("bad_field", f"`{field}` {rule.get(first['type'], 'has a wrong value')}", ref)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message made ready for the wire, once, for every connection that gets it.

    Attributes:
        payload: a text or a binary message.
        size: its bytes in UTF-8.
        key: with `Overflow.KEEP_LATEST`, which waiting message it supersedes.
        made: what a transport has made of it, once for all connections (chapter 7).
    """

    payload: str | bytes
    size: int
    key: str | None = None
    made: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)


def encode(type_: str, /, *, key: str | None = None, **fields: object) -> Outgoing:
    """Make the JSON text of one message to clients.

    Fields that are None are left out.

    Raises:
        ValueError: a field holds what JSON cannot: an object, NaN, a lone surrogate.
    """
    message = {"type": type_} | {name: value for name, value in fields.items() if value is not None}
    try:
        text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return Outgoing(text, len(text.encode()), key)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"a {type_!r} message cannot be encoded as JSON: {error}") from error


def binary(payload: bytes, *, key: str | None = None) -> Outgoing:
    """Make a binary message to clients."""
    return Outgoing(payload, len(payload), key)
