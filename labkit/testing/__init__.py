"""Room 11 · Testing: real servers, clients with deadlines, and faults that really happen.

address     a port of this machine
server      uvicorn on the running loop: port 0, silent, gone after stop
clients     WebSocket and event-stream clients; no wait without a deadline
faults      readers that stall, clients that vanish, bytes that are nonsense
frozen      a client process that can be put to sleep
link        a proxy that shows every byte and can break the line
proxies     a real Caddy in front of a server
nginx       a real nginx, whose directives can be left out
valkey      a real Valkey to kill, hang and restart
valkey_cluster  and a cluster of them, to be broken one shard at a time
kernels     a real notebook kernel, driven cell by cell
hostile     what strangers send on purpose, and what each must earn
load        many clients in a process of their own
memory      what a process takes while something happens to it
waiting     until something is so, with a deadline
fixtures    all of it for pytest, and the proof that nothing is left
leftovers   what a process has now that it had not before
models      a model of the registry, for hypothesis
clock       time that moves when told to
"""
