"""Two questions that must not be one: does this process live, and should it get clients?

    GET /livez     200 as long as the loop turns. It asks nobody: if it failed because Valkey is
                   down, every process would be restarted, and Valkey would still be down.
    GET /readyz    200 `{"ready": true, "why": []}`, or 503 with the reasons in `why`.

The promises: a check that hangs is a check that failed, at `timeout_s`; all of them are asked at
once; an answer names checks and kinds of errors, never a client, a user or an address.

Readiness goes off when a drain begins, while connections are still served and new ones let in:
`DrainSettings.settle_s` is the time in which the load balancer notices.

Chapter 10. The numbers are in the metrics: an address that anybody can call has none.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Response

Check = Callable[[], bool | Awaitable[object]]
"""Returns False or raises when the process should get no clients; may be asynchronous."""

UNAVAILABLE = 503


class Health:
    """The two answers of one process.

    Args:
        checks: by the word that is answered when one fails: `{"draining": lambda: drain.ready,
            "full": lambda: not capacity.full, "broker": lambda: broker.connected,
            "store": lambda: store.run(ping)}`.
        timeout_s: seconds for one answer; less than the probe's own timeout.

    Attributes:
        router: has `/livez` and `/readyz`; include it.

    Raises:
        ValueError: `timeout_s` is not more than 0.
    """

    def __init__(self, checks: Mapping[str, Check], *, timeout_s: float = 0.5) -> None:
        if timeout_s <= 0:
            raise ValueError(f"timeout_s is {timeout_s}: give seconds, more than 0")
        self.timeout_s = timeout_s
        self.router = APIRouter(tags=["health"])
        self._checks = dict(checks)
        self.router.add_api_route("/livez", self._livez)
        self.router.add_api_route("/readyz", self._readyz)

    async def reasons(self) -> list[str]:
        """Return why this process should get no clients, in the order of the checks; often none."""
        asked = (self._ask(word, check) for word, check in self._checks.items())
        return [reason for reason in await asyncio.gather(*asked) if reason]

    async def _ask(self, word: str, check: Check) -> str:
        try:
            async with asyncio.timeout(self.timeout_s):
                answer = check()
                healthy = await answer if inspect.isawaitable(answer) else answer
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            return f"{word}: {type(error).__name__}"
        return word if healthy is False else ""

    async def _livez(self) -> dict[str, bool]:
        return {"alive": True}

    async def _readyz(self, response: Response) -> dict[str, bool | list[str]]:
        why = await self.reasons()
        if why:
            response.status_code = UNAVAILABLE
        return {"ready": not why, "why": why}
