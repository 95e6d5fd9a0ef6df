"""What Valkey (or Redis 6.2 and later) keeps of each topic, and the two scripts that touch it.

Of a topic there are a hash with `epoch` and `offset`, a Stream of its last events, and for each
`once` a key that remembers what was done. A script is one step of the server: nobody sees a number
without its entry, and no event is published that was not kept. An entry's id is `offset-0`.

Chapter 12. Epoch, offset and one script are Centrifugo's way. All keys of a topic, and
its channel, share a hash tag: of a cluster it has one shard.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Awaitable
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import MovedError, RedisError

from labkit.production.cluster import Cluster
from labkit.production.traces import publishing
from labkit.sse.broker import BrokerUnavailableError, check_event, check_topic
from labkit.sse.history import Position

NUMBERS_MS = 24 * 3600 * 1000
"""How long a topic's epoch and offset outlive its last use. An entry lives `max_age_s`."""

PUBLISH = """
-- KEYS: hash, stream, once. ARGV: a new epoch, entries kept, ms an entry is kept, ms the numbers
-- are kept, channel, message, digest (empty: may be done twice), ms the digest is kept, and
-- PUBLISH or SPUBLISH
if ARGV[7] ~= '' then
  local done = redis.call('GET', KEYS[3])
  if done then return done end
end
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  epoch = ARGV[1]
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'offset', 0)
end
local offset = redis.call('HINCRBY', KEYS[1], 'offset', 1)
local added = redis.pcall('XADD', KEYS[2], 'MAXLEN', ARGV[2], offset .. '-0', 'm', ARGV[6])
if type(added) == 'table' and added.err then -- somebody else wrote here: begin anew
  epoch, offset = ARGV[1], 1
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'offset', offset)
  redis.call('XADD', KEYS[2], '1-0', 'm', ARGV[6])
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local at = epoch .. ':' .. offset
redis.call(ARGV[9], ARGV[5], at .. ' ' .. ARGV[6])
local done = at .. ' ' .. ARGV[7]
if ARGV[7] ~= '' then redis.call('SET', KEYS[3], done, 'PX', ARGV[8]) end
return done
"""

READ = """
-- KEYS: hash, stream. ARGV: a new epoch, ms the numbers are kept, epoch and offset of who asks
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local offset = tonumber(redis.call('HGET', KEYS[1], 'offset') or '0')
-- a server that counts less than somebody has heard has lost events: their numbers are not reused
if not epoch or (epoch == ARGV[3] and offset < tonumber(ARGV[4])) then
  epoch, offset = ARGV[1], 0
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'offset', 0)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local after = '0'
if epoch == ARGV[3] then after = ARGV[4] end
local entries = redis.pcall('XRANGE', KEYS[2], '(' .. after .. '-0', '+')
if entries.err then entries = {} end -- not a Stream: the next event begins anew
return {epoch, offset, entries}
"""


class IdReusedError(ValueError):
    """Another event had this `once`."""


class Kept(NamedTuple):
    """What the server has of a topic: where it stands, and the entries by their numbers."""

    at: Position
    entries: list[tuple[int, bytes]]


class TopicLog:
    """The events of all topics, in Valkey.

    Args:
        client: see `connect`.
        max_events: kept of each topic.
        max_age_s: a topic's events are kept this long after its last one, in seconds.
        prefix: put before each key and channel: two services may share a server.
        timeout_s: for one command, in seconds.
    """

    def __init__(
        self,
        client: Redis | Cluster,
        *,
        max_events: int,
        max_age_s: float,
        prefix: str,
        timeout_s: float,
    ) -> None:
        self._client = client
        self._max_events = max_events
        self._keep_ms = round(max_age_s * 1000)
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._command = "SPUBLISH" if isinstance(client, Cluster) else "PUBLISH"
        self._publish = client.register_script(PUBLISH)
        self._read = client.register_script(READ)

    def channel(self, topic: str) -> str:
        """Name the channel on which a topic's events come, as `epoch:offset message`."""
        return f"{self._prefix}{{topic:{topic}}}"

    def topic(self, channel: str) -> str:
        """Name the topic of a channel."""
        return channel[len(self.channel("")) - 1 : -1]

    async def publish(
        self,
        topic: str,
        data: str,
        event: str | None = None,
        *,
        once: str | None = None,
        same: str | None = None,
    ) -> Position:
        """Number an event, keep it, publish it.

        Args:
            topic: one topic.
            data: text, at most 64 KiB on the wire.
            event: its type; None is `message`.
            once: an id of this event: published again with it, nothing happens again. It is
                remembered as long as an event is kept.
            same: what must not differ when it is published again; `data` when None.

        Raises:
            ValueError: the topic or the event is not valid; the message names the field.
            IdReusedError: another event had this `once`.
            BrokerUnavailableError: the server is down, full, or did not answer in time. The
                event may be there all the same.
        """
        check_event(data, event)
        digest = _hashed(data if same is None else same) if once is not None else ""
        keys = [*self._keys(topic), self._key(topic, f"once:{_hashed(once or '')}")]
        numbers: list[str | int] = [new_epoch(), self._max_events, self._keep_ms, NUMBERS_MS]
        with publishing(topic) as carried:
            told: list[str | int] = [
                self.channel(topic), json.dumps({"event": event, "data": data} | carried),
                digest, self._keep_ms, self._command,
            ]  # fmt: skip
            done = await self._ask(self._publish(keys=keys, args=[*numbers, *told]), topic)
        at, _, had = done.decode().partition(" ")
        if had != digest:
            raise IdReusedError("once: another event had this id")
        return Position.parse(at)

    async def read(self, topic: str, after: Position) -> Kept:
        """Read a topic: what came after a position, or all of it if that means nothing here.

        Raises:
            BrokerUnavailableError: the server is down, or did not answer in time.
        """
        arguments: list[str | int] = [new_epoch(), NUMBERS_MS, after.epoch, after.offset]
        asked = self._read(keys=self._keys(topic), args=arguments)
        epoch, offset, entries = await self._ask(asked, topic)
        numbered = [(int(id_.split(b"-")[0]), dict(zip(kept[::2], kept[1::2], strict=True)))
                    for id_, kept in entries]  # fmt: skip
        return Kept(
            Position(epoch.decode(), offset),
            [(n, fields.get(b"m", b"")) for n, fields in numbered if n <= offset],
        )

    async def tell(self, channel: str, payload: str) -> None:
        """Publish on a channel that is no topic's: at most once, and nothing is kept.

        Raises:
            BrokerUnavailableError: the server is down, or did not answer in time.
        """
        asked = self._client.execute_command(  # type: ignore[no-untyped-call]
            self._command, channel, payload
        )
        await self._ask(asked, channel)

    async def _ask(self, command: Awaitable[Any], topic: str) -> Any:  # noqa: ANN401 - the server's
        try:
            async with asyncio.timeout(self._timeout_s):
                return await command
        except (RedisError, OSError) as error:
            cure = "publish again with the same `once`"
            if isinstance(error, MovedError) and not isinstance(self._client, Cluster):
                cure = "it is a node of a cluster: its address begins with redis+cluster://"
            raise BrokerUnavailableError(
                f"the broker did not confirm {topic!r} ({error or 'time-out'}): {cure}"
            ) from error

    def _keys(self, topic: str) -> list[str]:
        return [self._key(topic, "numbers"), self._key(topic, "events")]

    def _key(self, topic: str, kind: str) -> str:
        return f"{self.channel(check_topic(topic))}:{kind}"


def new_epoch() -> str:
    """Name a new history; never twice the same."""
    return secrets.token_hex(4)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
