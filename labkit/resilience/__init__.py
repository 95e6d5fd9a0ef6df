"""Room 6 · Resilience: a failure stays where it happened, and everyone is told what they can use.

errors    who is told what: the client a fixed text, the log the cause, once
retry     the same call again: named errors of a dependency, within one deadline
breaker   no more calls to what does not answer, and one probe to find out when it does
backoff   when a client comes back, so that a thousand do not come at once

A WebSocket is never retried. It is gone; its client reconnects and resumes by id (chapter 3).
"""

from __future__ import annotations

from labkit.resilience.backoff import Backoff, backoff_s
from labkit.resilience.breaker import Breaker, BreakerStats, CircuitOpenError, State
from labkit.resilience.errors import UNAVAILABLE, Answer, GuardedRouter
from labkit.resilience.retry import Retry

__all__ = [
    "UNAVAILABLE",
    "Answer",
    "Backoff",
    "Breaker",
    "BreakerStats",
    "CircuitOpenError",
    "GuardedRouter",
    "Retry",
    "State",
    "backoff_s",
]
