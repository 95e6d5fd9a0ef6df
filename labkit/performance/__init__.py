"""Room 7 · Performance: one message to very many, and no more work than that.

batching  several messages in one frame, and no waiting when there is one
workers   in order where order matters, in parallel where not, nothing lost without a word
store     one Valkey client for a process, with a deadline on everything
direct    past the wrappers that frameworks put around `send`
handover  past their frames: an endpoint returns, its connection stays
frames    below ASGI: a frame made once for all, a turn's frames in one write
"""

from labkit.performance.batching import Batcher, batch
from labkit.performance.direct import DirectSend
from labkit.performance.frames import FrameProtocol
from labkit.performance.handover import HandedOver, Handover, hand_over
from labkit.performance.store import Store, StoreUnavailableError
from labkit.performance.workers import Workers, log_failure

__all__ = [
    "Batcher",
    "DirectSend",
    "FrameProtocol",
    "HandedOver",
    "Handover",
    "Store",
    "StoreUnavailableError",
    "Workers",
    "batch",
    "hand_over",
    "log_failure",
]
