"""A connection that stays: the client shows a newer token before the old one ends.

Chapter 5. The conversation, in numbers:
    1. The client sends `{"type": "renew", "token": …, "id": …}`.
    2. The server answers `{"type": "renewed", "ref": id}`, and the connection lives as long as
       the new token; or `{"type": "error", "code": "bad_credentials", …}`, and it ends when it
       would have ended.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from labkit.architecture.handlers import Refused
from labkit.architecture.manager import Connection
from labkit.architecture.messages import ClientMessage, encode
from labkit.auth.access import GuardedRouter
from labkit.auth.gate import Gate, Verify
from labkit.auth.live import Live
from labkit.auth.tokens import AuthUnavailable, BadCredentials


class Renew(ClientMessage):
    """Show a newer token of the same user."""

    type: Literal["renew"]
    token: Annotated[str, Field(max_length=8192, repr=False)]


def add_renewal(router: GuardedRouter, gate: Gate, live: Live, verify: Verify) -> None:
    """Teach a router `renew`.

    Args:
        router: learns the message.
        gate: decides, within its deadline, and counts.
        live: holds the connection's lease.
        verify: says whose a token is.
    """

    @router.open_to_all(Renew)
    async def renew(connection: Connection, message: Renew) -> None:
        try:
            identity = await gate.decide(message.token, verify)
        except BadCredentials as error:
            raise Refused("bad_credentials", error.code) from None
        except AuthUnavailable as error:
            raise Refused("unavailable", str(error)) from None
        try:
            live.renew(connection, identity)
        except BadCredentials as error:
            gate.note(error.code)
            raise Refused("bad_credentials", error.code) from None
        connection.send(encode("renewed", ref=message.id))
