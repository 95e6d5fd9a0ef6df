"""The manual clock stands still until it is moved."""

from __future__ import annotations

import pytest

from labkit.testing.clock import ManualClock


def test_it_moves_only_when_told():
    """Two readings are the same; an advance adds exactly its seconds."""
    clock = ManualClock(start_s=10)
    assert clock() == clock() == 10
    clock.advance(3600)
    assert clock() == 3610


def test_it_never_goes_back():
    """A negative step is refused, as no monotonic clock takes one."""
    with pytest.raises(ValueError, match="seconds=-1 is negative"):
        ManualClock().advance(-1)
