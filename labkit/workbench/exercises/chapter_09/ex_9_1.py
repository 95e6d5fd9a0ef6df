"""Exercise 9.1: twenty bad messages, twenty answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError

from labkit.testing import hostile
from labkit.workbench.exercises.engine import Exercise, expect, expect_equal

Reply = Callable[[str, Any], Any]

VALID = {"type": "say", "id": "7", "text": "hello"}

exercise = Exercise[Reply](
    "9.1",
    title="twenty bad messages, twenty answers",
    hints=(
        "`model.model_validate_json(text)` parses and validates in one step, and has one error.",
        "`json.loads` can raise RecursionError, and `model(**data)` TypeError: do not go that way.",
        "An error says what is wrong in your words: a fixed sentence, nothing of the input.",
    ),
)


@exercise.solution
def reply(text: str, model: type[Any]) -> dict[str, Any]:
    """Answer `{"type": "ok", "ref": id}` to a message of the model, and an error to all else."""
    # hole: parse and validate in one step; {"type": "error", "code": "bad_message"} when it fails
    try:
        message = model.model_validate_json(text)
    except ValidationError:
        return {"type": "error", "code": "bad_message"}
    return {"type": "ok", "ref": message.id}
    # end


@exercise.wrong("the socket dies of it")
def calls_the_model(text: str, model: type[Any]) -> dict[str, Any]:
    """Do as the guide does: call the class with whatever came."""
    try:
        message = model(**json.loads(text))
    except (json.JSONDecodeError, ValidationError):
        return {"type": "error", "code": "bad_message"}
    return {"type": "ok", "ref": message.id}


@exercise.wrong("the socket dies of it")
def expects_one_error(text: str, model: type[Any]) -> dict[str, Any]:
    """Parse first, and catch what the documentation of `json` names."""
    try:
        message = model.model_validate(json.loads(text))
    except (json.JSONDecodeError, ValidationError):
        return {"type": "error", "code": "bad_message"}
    return {"type": "ok", "ref": message.id}


@exercise.wrong("a stranger reads his own words in it")
def repeats_the_input(text: str, model: type[Any]) -> dict[str, Any]:
    """Tell all that pydantic has to say."""
    try:
        message = model.model_validate_json(text)
    except ValidationError as error:
        return {"type": "error", "code": "bad_message", "detail": str(error)}
    return {"type": "ok", "ref": message.id}


@exercise.wrong("a good message is refused")
def refuses_everything(text: str, model: type[Any]) -> dict[str, Any]:
    """Be on the safe side."""
    return {"type": "error", "code": "bad_message"}


@exercise.wrong("was taken for a good one")
def takes_everything(text: str, model: type[Any]) -> dict[str, Any]:
    """Catch whatever comes, and go on."""
    try:
        return {"type": "ok", "ref": model.model_validate_json(text).id}
    except Exception:
        return {"type": "ok", "ref": None}


class _Say(BaseModel, extra="forbid", strict=True):
    type: str = "say"
    id: str | None = None
    text: str


_OTHERS = {"a valid message", "unknown type", "type missing", "the type twice", "100,000 keys"}
"""What one model cannot decide, and what is refused before it is parsed."""


@exercise.check
async def check(reply: Reply) -> None:
    """One good message, then the table of hostile ones."""
    sent = {row.name: row.sent for row in hostile.messages(VALID, "text")}
    got = _told(reply, "a good message", json.dumps(VALID))
    expect_equal(got, {"type": "ok", "ref": "7"}, given="a good message",
                 because="a good message is refused")  # fmt: skip
    for name, text in sent.items():
        if name in _OTHERS or isinstance(text, bytes):
            continue
        got = _told(reply, name, text)
        because = "a bad message was taken for a good one"
        expect(got.get("type") == "error", given=name, got=got, because=because)
        because = "a stranger reads his own words in it: use fixed ones"
        leak = "hunter2" in str(got) or "input_value" in str(got)
        expect(not leak, given=name, got=got, because=because)


def _told(reply: Reply, name: str, text: str) -> dict[str, Any]:
    try:
        got = reply(text, _Say)
    except (RecursionError, ValueError, TypeError, AttributeError) as error:
        because = "that is no ValidationError, and the socket dies of it"
        expect(False, given=name, got=type(error).__name__, because=because)
    expect(isinstance(got, dict), given=name, got=got, because="every message has an answer")
    return dict(got)
