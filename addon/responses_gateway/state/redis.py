"""The store for several machines: one Redis or Valkey server.

A response is two hashes: the response itself, and a node with its items, which younger responses need as well. Using a
response counts as using all that it continues, so that what is not used for longest is never the history of something
that is. Keys expire at the age limit; a sorted set keeps the order of use, for the other bounds.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import redis

from responses_gateway.protocol.json import JsonObject
from responses_gateway.state import redis_keys as keys
from responses_gateway.state.packing import pack, unpack
from responses_gateway.state.store import Limits, NotStorable, Record, StoreError, continued

_TIMEOUT = 2.0
"""Seconds; a store that does not answer must not hold up turns for long."""

_DOWN = 5.0
"""Seconds during which a server that could not be reached is not asked again."""

_EVICTED_PER_WRITE = 16


class RedisStore:
    """A Store at `url`. Raises StoreError when it cannot be reached."""

    def __init__(self, url: str, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._name = _without_password(url)
        self._limits = limits
        self._clock = clock
        self._down_until = 0.0
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)
        self._put, self._renew, self._add_events, self._adopt, self._drop_unneeded = (
            self._redis.register_script(script)
            for script in (keys.PUT, keys.RENEW, keys.ADD_EVENTS, keys.ADOPT, keys.DROP_UNNEEDED)
        )
        with self._explained():
            self._redis.ping()

    # Responses --------------------------------------------------------------------------------------------------------

    def put(self, record: Record) -> None:
        response = {key: value for key, value in record.response.items() if key != "output"}
        output, header = pack(record.response["output"]), pack(response)
        previous, given = response.get("previous_response_id"), record.input
        with self._explained():
            chain = self._chain(record.id)
            if not chain:
                before = self._adopt(keys=[keys.node(previous)], args=[]) if previous else None
                if previous and before is None and record.whole is not None:
                    given = record.whole()
                chain = [*(unpack(before) if before is not None else ()), record.id]
            size = len(given) + len(output) + len(header) + len(record.events)
            if size > self._limits.bytes:
                raise NotStorable(f"the response has {size} bytes: more than the store may hold")
            batch = self._redis.pipeline()
            for item in (*unpack(given), *record.response["output"]):
                batch.set(keys.item(record.owner, item["id"]), f"r{record.id}", ex=self._age)
            if record.replay_key is not None:
                batch.set(keys.replay(record.owner, record.replay_key), record.id, ex=self._age)
            self._touch(chain, batch)
            fields: dict[str, str | int | bytes | float] = {
                "owner": record.owner,
                "final": int(record.final),
                "lease": record.lease or "",
                "replay": record.replay_key or "",
                "response": header,
                "events": record.events,
            }
            flat = [part for pair in fields.items() for part in pair]
            self._put(
                keys=[keys.response(record.id), keys.node(record.id), keys.SIZES, keys.BYTES, keys.live(record.id)],
                args=[self._age, record.id, size, given, output, pack(chain), *flat],
            )
            self._evict()

    def get(self, owner: str, response_id: str) -> Record | None:
        with self._explained():
            batch = self._redis.pipeline(transaction=False)
            batch.hgetall(keys.response(response_id))
            batch.hgetall(keys.node(response_id))
            head, node = batch.execute()
            # The server may have evicted either.
            if b"response" not in head or b"chain" not in node or head[b"owner"].decode() != owner:
                return None
            self._note_use(unpack(node[b"chain"]))
        return Record(
            owner=owner,
            response={**unpack(head[b"response"]), "output": unpack(node[b"output"])},
            input=node[b"input"],
            events=head[b"events"],
            lease=float(head[b"lease"]) if head[b"lease"] else None,
            replay_key=head[b"replay"].decode() or None,
        )

    def history(self, owner: str, response_id: str, *, output: bool = True) -> list[JsonObject] | None:
        with self._explained():
            known, final = self._redis.hmget(keys.response(response_id), "owner", "final")
            if known is None or known.decode() != owner or (output and final != b"1"):
                return None
            chain = self._chain(response_id)
            batch = self._redis.pipeline(transaction=False)
            for member in chain:
                batch.hmget(keys.node(member), "input", "output")
            nodes = batch.execute()
            if not chain or any(given is None or made is None for given, made in nodes):
                return None
            self._note_use(chain)
        items: list[JsonObject] = []
        for position, (given, made) in enumerate(nodes, 1):
            items += unpack(given)
            if output or position < len(nodes):
                items += continued(unpack(made))
        return items

    def items(self, owner: str, ids: Sequence[str]) -> dict[str, JsonObject]:
        found: dict[str, JsonObject] = {}
        wanted = set(ids)
        with self._explained():
            for item_id in wanted:
                place = None if item_id in found else self._redis.get(keys.item(owner, item_id))
                if place is None:
                    continue
                kind, holder = place[:1], place[1:].decode()
                if kind == b"r":
                    packed = [
                        part for part in self._redis.hmget(keys.node(holder), "input", "output") if part is not None
                    ]
                    candidates = [item for part in packed for item in unpack(part)]
                else:
                    stored = self._redis.hget(keys.items(holder), item_id)
                    candidates = [unpack(stored)] if stored is not None else []
                found.update((item["id"], item) for item in candidates if item["id"] in wanted)
        return found

    def delete(self, owner: str, response_id: str) -> bool:
        with self._explained():
            known = self._redis.hget(keys.response(response_id), "owner")
            if known is None or known.decode() != owner:
                return False
            self._remove(response_id)
            return True

    def renew(self, owner: str, response_id: str, lease: float) -> bool:
        with self._explained():
            return bool(self._renew(keys=[keys.response(response_id)], args=[owner, lease]))

    def add_events(self, owner: str, response_id: str, events: bytes) -> bool:
        with self._explained():
            places = [keys.response(response_id), keys.live(response_id)]
            return bool(self._add_events(keys=places, args=[owner, events, self._age]))

    def live_events(self, owner: str, response_id: str, skip: int) -> list[bytes] | None:
        with self._explained():
            batch = self._redis.pipeline(transaction=False)
            batch.hmget(keys.response(response_id), "owner", "final", "lease")
            batch.lrange(keys.live(response_id), skip, -1)
            (known, final, lease), events = batch.execute()
        runs = known is not None and known.decode() == owner and final == b"0"
        return events if runs and lease and float(lease) > self._clock() else None

    def find_replay(self, owner: str, key: str) -> Record | None:
        with self._explained():
            response_id = self._redis.get(keys.replay(owner, key))
        return self.get(owner, response_id.decode()) if response_id is not None else None

    # Conversations ----------------------------------------------------------------------------------------------------

    def put_conversation(self, owner: str, conversation: JsonObject) -> None:
        key = keys.conversation(conversation["id"])
        with self._explained():
            self._redis.hset(key, mapping={"owner": owner, "object": pack(conversation)})
            self._redis.expire(key, self._age)

    def get_conversation(self, owner: str, conversation_id: str) -> JsonObject | None:
        with self._explained():
            if not self._owns(owner, conversation_id):
                return None
            self._keep(conversation_id)
            packed = self._redis.hget(keys.conversation(conversation_id), "object")
        conversation: JsonObject | None = unpack(packed) if packed is not None else None
        return conversation

    def delete_conversation(self, owner: str, conversation_id: str) -> bool:
        with self._explained():
            if not self._owns(owner, conversation_id):
                return False
            self._redis.delete(
                keys.conversation(conversation_id), keys.items(conversation_id), keys.order(conversation_id)
            )
            return True

    def conversation_items(self, owner: str, conversation_id: str) -> list[JsonObject]:
        with self._explained():
            if not self._owns(owner, conversation_id):
                return []
            ids = self._redis.lrange(keys.order(conversation_id), 0, -1)
            packed = self._redis.hmget(keys.items(conversation_id), ids) if ids else []
        return [unpack(item) for item in packed if item is not None]

    def append_items(self, owner: str, conversation_id: str, items: Sequence[JsonObject]) -> bool:
        with self._explained():
            if not self._owns(owner, conversation_id):
                return False
            for item in items:
                if self._redis.hsetnx(keys.items(conversation_id), item["id"], pack(item)):
                    self._redis.rpush(keys.order(conversation_id), item["id"])
                    self._redis.set(keys.item(owner, item["id"]), f"c{conversation_id}", ex=self._age)
            self._keep(conversation_id)
            return True

    def delete_item(self, owner: str, conversation_id: str, item_id: str) -> bool:
        with self._explained():
            if not self._owns(owner, conversation_id):
                return False
            self._redis.lrem(keys.order(conversation_id), 0, item_id)
            return bool(self._redis.hdel(keys.items(conversation_id), item_id))

    # Notes ------------------------------------------------------------------------------------------------------------

    def put_note(self, owner: str, name: str, value: str) -> None:
        key = keys.note(name)
        with self._explained():
            batch = self._redis.pipeline()
            batch.hset(key, owner, value)
            batch.expire(key, self._age)
            batch.zadd(keys.NOTED, {name: self._clock()})
            batch.expire(keys.NOTED, self._age)
            batch.zcard(keys.NOTED)
            excess = batch.execute()[-1] - self._limits.responses
            for oldest, _ in self._redis.zpopmin(keys.NOTED, excess) if excess > 0 else ():
                self._redis.delete(keys.note(oldest.decode()))

    def note(self, owner: str, name: str) -> str | None:
        with self._explained():
            value = self._redis.hget(keys.note(name), owner)
        return value.decode() if value is not None else None

    def is_anothers(self, owner: str, name: str) -> bool:
        with self._explained():
            owners = self._redis.hkeys(keys.note(name))
        return bool(owners) and owner.encode() not in owners

    def close(self) -> None:
        self._redis.close()

    # The bounds -------------------------------------------------------------------------------------------------------

    @property
    def _age(self) -> int:
        return max(1, int(self._limits.age))

    def _chain(self, response_id: str) -> list[str]:
        """The ids from the first response up to this one; none when it is not there."""
        packed = self._redis.hget(keys.node(response_id), "chain")
        chain: list[str] = unpack(packed) if packed is not None else []
        return chain

    def _note_use(self, chain: Sequence[str]) -> None:
        """A server that is full refuses it (and all transactions); that is no reason to refuse an answer."""
        with contextlib.suppress(redis.OutOfMemoryError):
            self._touch(chain, self._redis.pipeline(transaction=False))

    def _touch(self, chain: Sequence[str], batch: Any) -> None:
        batch.zadd(keys.USED, dict.fromkeys(chain, self._clock()))
        for member in chain:
            batch.expire(keys.node(member), self._age)
        batch.execute()

    def _evict(self) -> None:
        for _ in range(_EVICTED_PER_WRITE):
            count, size = self._redis.zcard(keys.USED), int(self._redis.get(keys.BYTES) or 0)
            oldest = self._redis.zrange(keys.USED, 0, 0, withscores=True)
            if not oldest:
                return
            [(member, used_at)] = oldest
            within = count <= self._limits.responses and size <= self._limits.bytes
            if within and used_at > self._clock() - self._limits.age:
                return
            if not self._redis.zrem(keys.USED, member):
                continue  # another gateway removes it
            self._drop(member.decode())

    def _remove(self, response_id: str) -> None:
        """Remove a response, and those nodes of its chain that nothing needs any more."""
        chain = self._chain(response_id)
        self._redis.delete(keys.response(response_id))
        for position in reversed(range(len(chain))):
            member = chain[position]
            if not self._drop_unneeded(keys=[keys.node(member), keys.response(member)], args=[]):
                return
            self._drop(member)
            if position and self._redis.exists(keys.node(chain[position - 1])):
                self._redis.hincrby(keys.node(chain[position - 1]), "children", -1)

    def _drop(self, member: str) -> None:
        size = int(self._redis.hget(keys.SIZES, member) or 0)
        batch = self._redis.pipeline()
        batch.delete(keys.response(member), keys.node(member), keys.live(member))
        batch.zrem(keys.USED, member)
        batch.hdel(keys.SIZES, member)
        batch.decrby(keys.BYTES, size)
        batch.execute()

    def _owns(self, owner: str, conversation_id: str) -> bool:
        known = self._redis.hget(keys.conversation(conversation_id), "owner")
        return known is not None and known.decode() == owner

    def _keep(self, conversation_id: str) -> None:
        for key in (keys.conversation(conversation_id), keys.items(conversation_id), keys.order(conversation_id)):
            self._redis.expire(key, self._age)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        if time.monotonic() < self._down_until:
            raise StoreError(f"the store {self._name} could not be reached a moment ago")
        try:
            yield
        except redis.OutOfMemoryError as error:
            raise StoreError(f"the store {self._name} is full, and evicts nothing: {error}") from error
        except redis.RedisError as error:
            if isinstance(error, redis.ConnectionError | redis.TimeoutError):
                self._down_until = time.monotonic() + _DOWN
            raise StoreError(f"the store {self._name}: {error}") from error


_USER = re.compile(r"//[^/@]*@")


def _without_password(url: str) -> str:
    return _USER.sub("//", url)
