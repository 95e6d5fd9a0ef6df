"""What we rely on, and warn of, in pydantic and Starlette. Red means: a lesson has to change."""

import json

import pytest
from fastapi import FastAPI, WebSocket
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from labkit.testing.clients import WebSocketClient
from labkit.testing.server import LiveServer


class WithInit(BaseModel):
    """A model that wraps its constructor, as the guide's does."""

    type: str

    def __init__(self, **data):
        super().__init__(**data)


class Plain(BaseModel):
    """The same without."""

    type: str


def test_a_model_with_its_own_init_turns_the_key_self_into_a_type_error():
    """That is no ValidationError, so a handler's `except` does not catch it."""
    with pytest.raises(TypeError):
        WithInit(type="x", self=1)
    assert Plain(type="x", self=1).type == "x"


def test_a_model_drops_unknown_fields_without_a_word():
    """Pydantic's default; `extra="forbid"` is a decision."""
    assert Plain.model_validate({"type": "x", "dta": 1}).model_dump() == {"type": "x"}


async def test_starlette_sends_nan_as_json():
    """`send_json` writes what no browser can read: JSON has no NaN (RFC 8259 §6)."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_json({"price": float("nan")})

    async with LiveServer(app) as server:
        client = await WebSocketClient.connect(f"{server.ws_url}/ws")
        text = await client.receive()
        await client.close()
    assert json.loads(text, parse_constant=lambda name: name) == {"price": "NaN"}


def test_a_ban_on_nan_does_not_reach_into_a_json_value():
    """`allow_inf_nan=False` is for floats that the model knows; the parser has to refuse it."""

    class Model(BaseModel):
        model_config = ConfigDict(allow_inf_nan=False)
        data: JsonValue

    assert Model.model_validate_json('{"data": NaN}').data != 0


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 200_000, "{", '"\\ud800"'])
def test_validate_json_has_one_error_for_everything(text):
    """`json.loads` raises ValueError and RecursionError for some of these, or takes them."""
    with pytest.raises(ValidationError):
        TypeAdapter(Plain).validate_json(text)
