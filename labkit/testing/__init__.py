"""Room 11 · Testing: real servers, clients with deadlines, and faults that really happen.

server      uvicorn on the running loop: port 0, silent, gone after stop
clients     WebSocket and event-stream clients; no wait without a deadline
faults      readers that stall, clients that vanish, bytes that are nonsense
frozen      a client process that can be put to sleep
link        a proxy that shows every byte and can break the line
valkey      a real Valkey to kill, hang and restart
kernels     a real notebook kernel, driven cell by cell
clock       time that moves when told to
"""
