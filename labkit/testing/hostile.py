"""What strangers send on purpose: messages, frames and handshakes, with what each must earn.

Aim it at a server of your own: `messages` takes one valid message of yours and bends it, `FRAMES`
are below any message, `ORIGINS` are handshakes. `attack` says in a few words what the server did,
so that a row can be compared with its promise.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any, Literal

from websockets.frames import Frame, Opcode

from labkit.testing.faults import raw_frames
from labkit.testing.outcomes import Disconnected, Rejected, Silence
from labkit.testing.websocket_client import WebSocketClient

ANSWERED, ERROR = "answered", "error"
MOMENT_S = 0.3
DEEP, WIDE, DIGITS = 1000, 100_000, 5000
MASK = b"\0\0\0\0"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to send.

    Attributes:
        name: for people.
        sent: a message (`str`, `bytes`), or the bytes of frames.
        promise: what a correct server may do: any of these outcomes, see `attack`.
        raw: whether `sent` goes on the wire as it is.
    """

    name: str
    sent: str | bytes = field(repr=False)  # it may be megabytes
    promise: tuple[str, ...]
    raw: bool = False


def messages(valid: dict[str, Any], field: str) -> tuple[Row, ...]:
    """Bend one valid message in every way that a parser can be bent.

    Args:
        valid: a message that the server answers, with a `type` and no `id`.
        field: the name of a field of `valid` that holds a JSON object.
    """
    plain = json.dumps(valid)

    inside = json.dumps(valid[field])

    def holding(value: str) -> str:
        return plain.replace(inside, f'{{"a": {value}}}')

    wide = ", ".join(f'"k{n}": 1' for n in range(WIDE))
    bent: dict[str, str | bytes] = {
        "not JSON": "{bad",
        "nothing": "",
        "a list": "[1, 2]",
        "a number": "5",
        "null": "null",
        "a text": '"x"',
        "unknown type": json.dumps({**valid, "type": "rm -rf"}),
        "type missing": json.dumps({field: valid[field]}),
        "type is an object": json.dumps({**valid, "type": {"password": "hunter2"}}),
        "field missing": json.dumps({"type": valid["type"]}),
        "field of another kind": json.dumps({**valid, field: [1]}),
        "field too many": json.dumps({**valid, "is_admin": True}),
        "a key named self": json.dumps({"self": 1, **valid}),
        "a timestamp of its own": json.dumps({**valid, "timestamp": "yesterday; DROP TABLE"}),
        "the type twice": plain[:-1] + ', "type": "admin"}',
        "byte order mark": "\ufeff" + plain,
        "NaN": holding("NaN"),
        "Infinity": holding("Infinity"),
        "1e999": holding("1e999"),
        "5,000 digits": holding("9" * DIGITS),
        "half a character": holding('"\\ud800"'),
        "1,000 brackets": holding("[" * DEEP + "]" * DEEP),
    }
    refused = [Row(name, sent, (ERROR,)) for name, sent in bent.items()]
    return (
        Row("a valid message", plain, (ANSWERED,)),
        *refused,
        Row("100,000 keys", plain.replace(inside, f"{{{wide}}}"), ("close 1009",)),
        Row("binary", plain.encode(), ("close 1003", ANSWERED)),
    )


def _frame(opcode: int, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(Opcode(opcode), data, fin).serialize(mask=True)


def storm(count: int = 20_000) -> Row:
    """Make `count` small messages at once."""
    return Row("a storm of messages", _frame(1, b"{}") * count, ("close 1008",), raw=True)


def fragments(count: int = 1_000_000) -> Row:
    """Make one message of `count` empty fragments, which never ends."""
    begin, more = _frame(1, b"", fin=False), _frame(0, b"", fin=False)
    return Row("empty fragments", begin + more * count, ("close 1009",), raw=True)


FRAMES = (
    Row("an empty frame", _frame(1, b""), (ERROR,), raw=True),
    Row("wrong UTF-8", _frame(1, b"\xc3\x28"), ("close 1007",), raw=True),
    Row("a ping of 126 bytes", b"\x89\xfe" + struct.pack("!H", 126) + MASK + b"x" * 126,
        ("close 1002",), raw=True),
    Row("a frame without a mask", b"\x81\x02{}", ("close 1002",), raw=True),
    Row("a reserved bit", b"\xc1\x82" + MASK + b"{}", ("close 1002",), raw=True),
    Row("a message of 16 GiB", b"\x81\xff" + struct.pack("!Q", 1 << 34) + MASK,
        ("close 1009",), raw=True),
)  # fmt: skip


def origins(own: str) -> dict[str, str]:
    """Spell an origin in ten ways that are not it.

    Args:
        own: the one that is allowed, such as `https://app.example`.
    """
    scheme, _, host = own.partition("://")
    return {
        "another host": f"{scheme}://evil.example",
        "as a prefix": f"{own}.evil.example",
        "as a suffix": f"{scheme}://evil-{host}",
        "as user name": f"{scheme}://{host}@evil.example",
        "another scheme": f"{'http' if scheme == 'https' else 'https'}://{host}",
        "another port": f"{own}:8443",
        "with a path": f"{own}/",
        "in capitals": own.upper(),
        "null": "null",
        "two at once": f"{own}, {scheme}://evil.example",
    }


async def attack(url: str, row: Row, *, patience_s: float = MOMENT_S) -> str:
    """Send one row over a connection of its own, and say what the server did.

    Returns:
        `answered`, `error` (a message whose `type` is error), `close 1008` with whatever code,
        `no close frame`, `silence`, or `HTTP 403` with whatever status.
    """
    try:
        if row.raw and isinstance(row.sent, bytes):
            return await _raw(url, row.sent, patience_s)
        client = await WebSocketClient.connect(url, name="hostile")
    except Rejected as error:
        return f"HTTP {error.status}"
    async with client:
        try:
            await client.send(row.sent)
            return _kind(await client.receive(timeout_s=patience_s))
        except Silence:
            return "silence"
        except Disconnected:
            return _close((await client.closed()).code)


async def _raw(url: str, data: bytes, patience_s: float) -> str:
    reaction = await raw_frames(url, data, name="hostile", timeout_s=patience_s)
    if reaction.code is not None or reaction.eof:
        return _close(reaction.code or 1006)
    return _kind(reaction.messages[0]) if reaction.messages else "silence"


def _close(code: int) -> str:
    return "no close frame" if code in {1005, 1006} else f"close {code}"


def _kind(message: str | bytes) -> Literal["answered", "error"]:
    try:
        answer = json.loads(message)
    except ValueError:
        return "answered"
    return "error" if isinstance(answer, dict) and answer.get("type") == "error" else "answered"
