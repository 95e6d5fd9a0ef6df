"""Room 8 · Security: trust nothing that comes in.

validation  field types for what strangers write: bounded text, bounded JSON
rate        one connection's budget, spent before anything is parsed
budget      one user's budget, shared by all workers
origin      whose pages may connect, asked on every WebSocket route
headers     what a browser is told about the pages themselves

One parse call, fixed error texts and the limit on bad messages are those of room 1; the largest
message is the server's `ws_max_size`, which chapter 8 sets and measures.
"""

from labkit.security.budget import Budget, WhenDown
from labkit.security.headers import SecurityHeaders
from labkit.security.origin import OriginGuard
from labkit.security.rate import Rate, Throttle, TokenBucket
from labkit.security.validation import Payload, Text, bounded_json, bounded_text

__all__ = [
    "Budget",
    "OriginGuard",
    "Payload",
    "Rate",
    "SecurityHeaders",
    "Text",
    "Throttle",
    "TokenBucket",
    "WhenDown",
    "bounded_json",
    "bounded_text",
]
