"""Close codes that carry a verdict: come back, or stop.

A client that is disconnected needs one answer before all others: shall it reconnect?
Every code here gives it, so that a restart does not lose the users and a ban does not
bring them back every second.

Chapter 1. Numbers below 4000 are those of RFC 6455 §7.4.1 and the IANA registry that it
founds. 4000 to 4999 are free for applications; here 40xx to 44xx mean *reconnect* and 45xx
to 49xx mean *stop*, a split taken from Centrifugo's protocol.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class CloseCode(IntEnum):
    """Why a WebSocket ended. `.meaning` is for people, `.reconnect` for the client's loop."""

    NORMAL = 1000, "finished"
    GOING_AWAY = 1001, "the server or the page is going away"
    UNSUPPORTED_DATA = 1003, "this kind of message is not accepted here"
    NO_STATUS = 1005, "closed without a code"
    ABNORMAL = 1006, "the connection was lost without a close frame"
    INVALID_DATA = 1007, "the message is not what its type promises"
    POLICY_VIOLATION = 1008, "the rules of this service were broken"
    TOO_BIG = 1009, "the message is too big"
    INTERNAL_ERROR = 1011, "the server failed"
    SERVICE_RESTART = 1012, "the server restarts"
    TRY_AGAIN_LATER = 1013, "too slow, or too many at once"
    IDLE = 4000, "nothing was heard for too long"
    EXPIRED = 4001, "the credentials have expired: renew them and come back"
    UNAUTHENTICATED = 4500, "the credentials are missing or wrong"
    FORBIDDEN = 4501, "this identity may not do that"
    REVOKED = 4502, "the credentials were withdrawn"
    REPLACED = 4503, "a newer connection took this one's place"

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        """Keep the meaning beside the number."""
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    @property
    def reconnect(self) -> bool:
        """Whether a well-behaved client comes back after this code."""
        return should_reconnect(self.value)


_RECONNECT_BELOW_4000 = frozenset({1001, 1005, 1006, 1011, 1012, 1013, 1014})


def should_reconnect(code: int) -> bool:
    """Say whether a client should come back after `code`, known to us or not.

    The caller spreads the attempts with jittered back-off (RFC 6455 §7.2.3).
    """
    return code in _RECONNECT_BELOW_4000 or 4000 <= code < 4500  # noqa: PLR2004 - see the module
