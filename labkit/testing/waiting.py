"""Wait for something that has no event of its own, with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE_S = 5.0
GLANCE_S = 0.002


async def until(condition: Callable[[], object], *, timeout_s: float = PATIENCE_S) -> None:
    """Wait until `condition()` is true.

    Args:
        condition: looked at every two milliseconds, on the running loop.
        timeout_s: seconds after which it counts as not happening.

    Raises:
        TimeoutError: it did not become true in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - a condition has no event to wait for
                await asyncio.sleep(GLANCE_S)
    except TimeoutError:
        raise TimeoutError(f"what is waited for did not happen in {timeout_s:g} s") from None
