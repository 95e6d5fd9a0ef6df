"""The guide's production checklist, as fifteen probes that run against any server."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.workbench import checkmember, checkservice
from labkit.workbench.probing import Checklist, Item, Target, examine

ITEMS = (
    Item("C1", "Connection limits configured", checkmember.limits, turn=6),
    Item("C2", "Rate limiting enabled", checkmember.rate, turn=5),
    Item("C3", "Authentication/authorization implemented", checkmember.auth),
    Item("C4", "Input validation on all messages", checkmember.validation),
    Item("C5", "Error handling comprehensive", checkmember.errors),
    Item("C6", "Monitoring and metrics configured", checkservice.metrics, turn=2),
    Item("C7", "Structured logging enabled", checkservice.logs, turn=3),
    Item("C8", "Health checks implemented", checkservice.health, turn=7),
    Item("C9", "Graceful shutdown handling", checkservice.shutdown, turn=8),
    Item("C10", "Load balancing considerations", checkservice.balancing),
    Item("C11", "Security headers configured", checkservice.headers),
    Item("C12", "Message size limits enforced", checkmember.size),
    Item("C13", "Connection timeouts configured", checkmember.timeouts),
    Item("C14", "Heartbeat/ping-pong implemented", checkmember.heartbeat),
    Item("C15", "Resource cleanup on disconnect", checkservice.cleanup, turn=1),
)
"""In the guide's words and order. The last turn ends the server."""


async def checklist(targets: Mapping[str, Target]) -> Checklist:
    """Run the fifteen probes against each server; none of them is of use afterwards."""
    return await examine(ITEMS, targets)
