"""Exercise 8.1: the model that the whole matrix cannot get past."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from labkit.architecture import BadMessage, ClientMessage, Vocabulary
from labkit.testing.hostile import ANSWERED, messages
from labkit.workbench.exercises.engine import Exercise, expect

VALID = {"type": "price", "data": {"symbol": "ABC", "price": 1.5}}

Model = Callable[[], type[ClientMessage]]

exercise = Exercise[Model](
    "8.1",
    title="nothing gets past the model",
    hints=(
        "A `ClientMessage` is strict and refuses unknown fields. Does its inner model as well?",
        "Inherit the inner model from `ClientMessage`, or give it the same `model_config`.",
        "`Field(gt=0, lt=1_000_000)` bounds a number, and infinity is not below anything.",
        "`Field(min_length=1, max_length=12)` bounds a text.",
    ),
)


@exercise.solution
def price_message() -> type[ClientMessage]:
    """Make the model: a symbol of 1 to 12 characters, a price above 0 and below a million."""

    class Data(ClientMessage):
        """What is inside."""

        # hole: two fields, `symbol` and `price`, each with its bounds
        symbol: Annotated[str, Field(min_length=1, max_length=12)]
        price: Annotated[float, Field(gt=0, lt=1_000_000)]
        # end

    class Price(ClientMessage):
        type: Literal["price"]
        data: Data

    return Price


@exercise.wrong("what is inside is not looked at")
def takes_any_object() -> type[ClientMessage]:
    """Take any object."""

    class Price(ClientMessage):
        type: Literal["price"]
        data: dict[str, Any]

    return Price


@exercise.wrong("a number without bounds")
def bounds_no_number() -> type[ClientMessage]:
    """Bound the text only."""

    class Data(ClientMessage):
        symbol: Annotated[str, Field(min_length=1, max_length=12)]
        price: float

    class Price(ClientMessage):
        type: Literal["price"]
        data: Data

    return Price


@exercise.wrong("a field that nobody asked for")
def forgets_the_inner_rules() -> type[ClientMessage]:
    """Forget that an inner model has rules of its own: pydantic's defaults ignore the unknown."""

    class Data(BaseModel):
        symbol: Annotated[str, Field(min_length=1, max_length=12)]
        price: Annotated[float, Field(gt=0, lt=1_000_000, strict=True)]

    class Price(ClientMessage):
        type: Literal["price"]
        data: Data

    return Price


@exercise.wrong("a text of any length")
def bounds_no_text() -> type[ClientMessage]:
    """Bound the number only."""

    class Data(ClientMessage):
        symbol: str
        price: Annotated[float, Field(gt=0, lt=1_000_000)]

    class Price(ClientMessage):
        type: Literal["price"]
        data: Data

    return Price


def _with(**data: object) -> str:
    return json.dumps({"type": "price", "data": {"symbol": "ABC", "price": 1.5} | data})


CASES = (
    ("price 1e999", _with(price=math.inf).replace("Infinity", "1e999"), "a number without bounds"),
    ("price 0", _with(price=0.0), "a number without bounds: above 0"),
    ("price 1000000", _with(price=1e6), "a number without bounds: below a million"),
    ("price '1.5'", _with(price="1.5"), "a text was taken for a number: be strict"),
    ("an empty symbol", _with(symbol=""), "a text of any length: at least one character"),
    ("13 characters", _with(symbol="x" * 13), "a text of any length: at most twelve"),
    ("is_admin inside", _with(is_admin=True), "a field that nobody asked for was ignored"),
)


@exercise.check
async def check(price_message: Model) -> None:
    """The matrix, and seven rows for what is inside."""
    vocabulary = Vocabulary(price_message())
    expect(_takes(vocabulary, json.dumps(VALID)), given=json.dumps(VALID), got="refused",
           because="this one is valid: name the fields `symbol` and `price`")  # fmt: skip
    wild = json.dumps({"type": "price", "data": {"anything": 1}})
    because = "what is inside is not looked at: give `data` a model of its own"
    expect(not _takes(vocabulary, wild), given=wild, got="accepted", because=because)
    for given, text, because in CASES:
        expect(not _takes(vocabulary, text), given=given, got="accepted", because=because)
    for row in messages(VALID, "data"):
        if isinstance(row.sent, str) and row.promise != (ANSWERED,):
            because = "it is in the matrix: refuse it"
            expect(
                not _takes(vocabulary, row.sent), given=row.name, got="accepted", because=because
            )


def _takes(vocabulary: Vocabulary, text: str) -> bool:
    try:
        vocabulary.parse(text)
    except BadMessage:
        return False
    return True
