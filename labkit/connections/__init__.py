"""Room 4 · Connections: how many, for how long, who they are, and how they end.

limits     places, reserved in one step: in all, for a user, from an address
admission  a place as a dependency, and a refusal that its client can read
idle       one sweeper that finds the unused, by a stated meaning of use
presence   users, not connections: who joined, who left
drain      what a process says and does between the signal and its end
exchange   one request, stream or WebSocket that can be ended from outside
server     draining on the signal: our server, or any uvicorn with workers
"""

from labkit.connections.admission import one_slot
from labkit.connections.drain import Drain, Drainable, Drained, DrainSettings, farewell
from labkit.connections.idle import IdleTimeout, is_sign_of_life
from labkit.connections.limits import AtCapacity, Capacity, Slot
from labkit.connections.presence import Presence
from labkit.connections.server import DrainingServer, drain_on_signal

__all__ = [
    "AtCapacity",
    "Capacity",
    "Drain",
    "DrainSettings",
    "Drainable",
    "Drained",
    "DrainingServer",
    "IdleTimeout",
    "Presence",
    "Slot",
    "drain_on_signal",
    "farewell",
    "is_sign_of_life",
    "one_slot",
]
