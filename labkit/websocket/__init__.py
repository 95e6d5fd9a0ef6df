"""Room 2 · WebSocket: one socket, from accept to a close code.

session    reader, inbox, outbox and goodbye of one connection
heartbeat  one sweeper that finds the silent ones
binary     text, bytes or gone; and a header that makes bytes safe to read
"""

from labkit.websocket.binary import Gone, Packet, payload_of
from labkit.websocket.heartbeat import Heartbeat
from labkit.websocket.session import Limits, Session

__all__ = ["Gone", "Heartbeat", "Limits", "Packet", "Session", "payload_of"]
