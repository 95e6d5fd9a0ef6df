"""lab.v1, written down: who says what, when, and what comes back.

A client offers `lab.v1` as subprotocol. Messages are JSON objects in text frames. Each has a
`type`; `MESSAGES` lists the types, who sends them, and their fields. The server is strict: a
field or a type that is not listed is an error, and the connection stays. A client is lenient: it
leaves alone what it does not know. `ref` is the `id` of the message that is answered. `at` is
`epoch:offset`; offsets of a topic count from 1, without gaps, as long as the epoch is the same.

Close codes are those of chapter 1: they say *come back* or *stop*.

The conversations are executed line by line against a real server, so they are true:

    ada + lab.v1       ada connects and offers this version
    ada > …, ada < …   ada sends, ada gets; nothing else comes in between
    ada x 1008 why     the server closes ada's connection
    ada -              ada vanishes without a word
    room …             the server publishes on a topic, or asks a client; `=` is what it learns

1. A version both know.
    ada + lab.v1
    ada > {"type": "ping", "id": "1"}
    ada < {"type": "pong", "ref": "1"}
2. A version that the server does not know. The code means stop: coming back does not help.
    ada + lab.v9
    ada < {"type": "error", "code": "unknown_version", "detail": "offer one of `versions` as \
subprotocol", "versions": ["lab.v1"]}
    ada x 1008 unknown version
3. A message that is not understood is answered, and the conversation goes on.
    ada + lab.v1
    ada > {"type": "fly", "id": "1"}
    ada < {"type": "error", "code": "unknown_type", "detail": "`type` is not one that this \
endpoint knows", "ref": "1"}
    ada > {"type": "ping", "self": 1, "id": "2"}
    ada < {"type": "error", "code": "bad_field", "detail": "the message has a field that its \
type does not have", "ref": "2"}
    ada > {"type": "ping"}
    ada < {"type": "pong"}
4. Subscribe, hear, unsubscribe. `at` in the answer is the last position before what follows.
    ada + lab.v1
    ada > {"type": "subscribe", "id": "1", "topic": "news"}
    ada < {"type": "ok", "ref": "1", "at": "e1:0"}
    room news {"n": 1}
    ada < {"type": "event", "time": "2026-01-01T12:00:00.000Z", "topic": "news", "at": "e1:1", \
"data": {"n": 1}}
    ada > {"type": "unsubscribe", "id": "2", "topic": "news"}
    ada < {"type": "ok", "ref": "2"}
    room news {"n": 2}
    ada > {"type": "ping"}
    ada < {"type": "pong"}
5. Vanish, come back with the last position, and get what was missed before anything new.
    ada + lab.v1
    ada > {"type": "subscribe", "topic": "news"}
    ada < {"type": "ok", "at": "e1:0"}
    room news {"n": 1}
    ada < {"type": "event", "time": "2026-01-01T12:00:00.000Z", "topic": "news", "at": "e1:1", \
"data": {"n": 1}}
    ada -
    room news {"n": 2}
    ada + lab.v1
    ada > {"type": "subscribe", "topic": "news", "after": "e1:1"}
    ada < {"type": "ok", "at": "e1:2", "recovered": true}
    ada < {"type": "event", "time": "2026-01-01T12:00:00.000Z", "topic": "news", "at": "e1:2", \
"data": {"n": 2}}
6. What cannot be recovered is told. The client fetches its state anew and goes on from `at`.
    ada + lab.v1
    ada > {"type": "subscribe", "topic": "news", "after": "e0:7"}
    ada < {"type": "ok", "at": "e1:0", "recovered": false, "gap": "other epoch"}
7. Who may listen, and who may speak, is decided by the server.
    ada + lab.v1
    ada > {"type": "subscribe", "id": "1", "topic": "private"}
    ada < {"type": "error", "code": "forbidden", "detail": "you may not listen to this topic", \
"ref": "1"}
    ada > {"type": "publish", "id": "2", "topic": "private", "data": 1}
    ada < {"type": "error", "code": "forbidden", "detail": "you may not publish on this topic", \
"ref": "2"}
8. `ok` to a `publish` means: it is done and kept. Sent again, it is answered again, not done again.
    ada + lab.v1
    bob + lab.v1
    bob > {"type": "subscribe", "topic": "chat"}
    bob < {"type": "ok", "at": "e1:0"}
    ada > {"type": "publish", "id": "m1", "topic": "chat", "data": "hello"}
    ada < {"type": "ok", "ref": "m1", "at": "e1:1"}
    ada > {"type": "publish", "id": "m1", "topic": "chat", "data": "hello"}
    ada < {"type": "ok", "ref": "m1", "at": "e1:1"}
    ada > {"type": "publish", "id": "m1", "topic": "chat", "data": "goodbye"}
    ada < {"type": "error", "code": "id_reused", "detail": "another message had this `id`", \
"ref": "m1"}
    bob < {"type": "event", "time": "2026-01-01T12:00:00.000Z", "topic": "chat", "at": "e1:1", \
"data": "hello"}
    bob > {"type": "ping"}
    bob < {"type": "pong"}
9. The server asks, and the client answers or refuses. Answers need no turn of their own.
    ada + lab.v1
    room ask ada confirm
    ada < {"type": "ask", "id": "1", "question": "confirm"}
    ada > {"type": "answer", "ref": "1", "data": {"yes": true}}
    room = {"yes": true}
    room ask ada confirm
    ada < {"type": "ask", "id": "2", "question": "confirm"}
    ada > {"type": "refusal", "ref": "2", "code": "asleep"}
    room = "PeerRefused: asleep"
10. An answer of somebody else, one that is late, and one to no question are nothing.
    ada + lab.v1
    eve + lab.v1
    room ask ada confirm
    ada < {"type": "ask", "id": "1", "question": "confirm"}
    eve > {"type": "answer", "ref": "1", "data": "by eve"}
    eve > {"type": "ping"}
    eve < {"type": "pong"}
    ada > {"type": "answer", "ref": "99"}
    ada > {"type": "answer", "ref": "1", "data": "by ada"}
    room = "by ada"
    ada > {"type": "answer", "ref": "1", "data": "again"}
    ada > {"type": "ping"}
    ada < {"type": "pong"}
11. Whoever waits for a client that leaves is told at once.
    ada + lab.v1
    room ask ada confirm
    ada < {"type": "ask", "id": "1", "question": "confirm"}
    ada -
    room = "PeerGone: the client left before it answered"
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Message(NamedTuple):
    """One type of message: who sends it, when, and the fields it must and may have."""

    sender: str
    when: str
    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()


def _fields(*names: str) -> frozenset[str]:
    return frozenset(names)


ID, REF = _fields("id"), _fields("ref")

MESSAGES: dict[str, Message] = {
    "subscribe": Message("client", "any time", _fields("topic"), _fields("id", "after")),
    "unsubscribe": Message("client", "any time", _fields("topic"), ID),
    "publish": Message("client", "any time; again until it is answered",
                       _fields("id", "topic", "data")),
    "answer": Message("client", "after an `ask`", REF, _fields("id", "data")),
    "refusal": Message("client", "after an `ask`", _fields("ref", "code"), ID),
    "ping": Message("both", "any time", may=ID),
    "pong": Message("both", "after a `ping`", may=_fields("id", "ref")),
    "ok": Message("server", "after a message that it did", may=_fields("ref", "at", "recovered",
                                                                      "gap")),
    "error": Message("server", "after a message that it did not do", _fields("code", "detail"),
                     _fields("ref", "versions", "temporary", "retry_after_s", "incident")),
    "event": Message("server", "while the client listens to `topic`",
                     _fields("time", "topic", "at"), _fields("data")),
    "ask": Message("server", "any time", _fields("id", "question"), _fields("…")),
}  # fmt: skip
"""Every type of lab.v1; `…` stands for the question's own fields."""


class Conversation(NamedTuple):
    """One numbered conversation: its title, and its lines as (who, what, the rest)."""

    number: int
    title: str
    lines: tuple[tuple[str, str, str], ...]


_TITLE = re.compile(r"(\d+)\. (.+)")
_LINE = re.compile(r"    (ada|bob|eve|room) (\S+) ?(.*)")


def conversations(text: str = __doc__) -> tuple[Conversation, ...]:
    """Read the numbered conversations out of the protocol's text."""
    found: list[Conversation] = []
    for line in text.splitlines():
        if title := _TITLE.fullmatch(line):
            found.append(Conversation(int(title[1]), title[2], ()))
        elif found and (said := _LINE.fullmatch(line)):
            spoken = (said[1], said[2], said[3])
            found[-1] = found[-1]._replace(lines=(*found[-1].lines, spoken))
    return tuple(found)
