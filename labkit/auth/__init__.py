"""Room 5 · Auth: who somebody is, for how long, and what they may do.

    tokens   a signed token becomes an identity, or one word that says why not
    tickets  opens one connection, once, soon: memory and Valkey
    live     leases: a connection ends with its token, or when it is withdrawn
    gate     five doors for credentials, and what a refused client sees
    access   (subject, action, topic), deny by default, asked again at delivery
    stream   chapter 3's event stream, held by a lease

An outage of ours is never told as a wrong token: 503 and 1013 say *come back*, 401 and 4500
say *stop*.
"""

from labkit.auth.access import Access, Action, GuardedManager, GuardedRouter, Rule
from labkit.auth.gate import (
    COOKIE,
    ForeignOrigin,
    Gate,
    Verify,
    bearer,
    cookie,
    subprotocol_token,
)
from labkit.auth.live import End, Lease, Live
from labkit.auth.renewal import Renew, add_renewal
from labkit.auth.stream import guarded_stream
from labkit.auth.tickets import MemoryTickets, Tickets, ValkeyTickets
from labkit.auth.tokens import AuthUnavailable, BadCredentials, Identity, Tokens

__all__ = [
    "COOKIE",
    "Access",
    "Action",
    "AuthUnavailable",
    "BadCredentials",
    "End",
    "ForeignOrigin",
    "Gate",
    "GuardedManager",
    "GuardedRouter",
    "Identity",
    "Lease",
    "Live",
    "MemoryTickets",
    "Renew",
    "Rule",
    "Tickets",
    "Tokens",
    "ValkeyTickets",
    "Verify",
    "add_renewal",
    "bearer",
    "cookie",
    "guarded_stream",
    "subprotocol_token",
]
