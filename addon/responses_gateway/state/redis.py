"""The store for several machines: one Redis or Valkey server.

A response is two hashes: the response itself, and a node with its items, which younger responses need as well. Using a
response counts as using all that it continues, so that what is not used for longest is never the history of something
that is. Keys expire at the age limit; a sorted set keeps the order of use, for the other bounds.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import redis

from responses_gateway.protocol.json import JsonObject
from responses_gateway.state.packing import pack, unpack
from responses_gateway.state.store import Limits, Record, StoreError, continued

_PREFIX = "responses-gateway:1:"
"""1 is the version of what the keys hold."""

_USED, _SIZES, _BYTES = (f"{_PREFIX}{name}" for name in ("used", "sizes", "bytes"))
_TIMEOUT = 2.0
"""Seconds; a store that does not answer must not hold up turns for long."""

_DOWN = 5.0
"""Seconds during which a server that could not be reached is not asked again."""

_EVICTED_PER_WRITE = 16
_SET_UNLESS_FINAL = """
if redis.call('HGET', KEYS[1], 'final') == '1' then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
"""
_RENEW = """
if redis.call('HGET', KEYS[1], 'final') ~= '0' or redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'lease', ARGV[2])
return 1
"""


class RedisStore:
    """A Store at `url`. Raises StoreError when it cannot be reached."""

    def __init__(self, url: str, limits: Limits, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self._limits = limits
        self._clock = clock
        self._down_until = 0.0
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)
        self._set_unless_final = self._redis.register_script(_SET_UNLESS_FINAL)
        self._renew = self._redis.register_script(_RENEW)
        with self._explained():
            self._redis.ping()

    # Responses --------------------------------------------------------------------------------------------------------

    def put(self, record: Record) -> None:
        response = {key: value for key, value in record.response.items() if key != "output"}
        output, header = pack(record.response["output"]), pack(response)
        size = len(record.input) + len(output) + len(header) + len(record.events)
        if size > self._limits.bytes:
            raise StoreError(f"the response has {size} bytes: more than the store may hold")
        previous = response.get("previous_response_id")
        fields: dict[str, str | int | bytes | float] = {
            "owner": record.owner,
            "final": int(record.final),
            "lease": record.lease or "",
            "replay": record.replay_key or "",
            "response": header,
            "events": record.events,
        }
        with self._explained():
            flat = [part for pair in fields.items() for part in pair]
            if not self._set_unless_final(keys=[_response(record.id)], args=flat):
                return
            chain = [*(self._chain(previous) if previous else ()), record.id]
            known = int(self._redis.hget(_SIZES, record.id) or 0)
            batch = self._redis.pipeline()
            if previous and not known:
                batch.hincrby(_node(previous), "children", 1)
            batch.hset(_node(record.id), mapping={"input": record.input, "output": output, "chain": pack(chain)})
            batch.hset(_SIZES, record.id, size)
            batch.incrby(_BYTES, size - known)
            for key in (_response(record.id), _node(record.id)):
                batch.expire(key, self._age)
            for item in (*unpack(record.input), *record.response["output"]):
                batch.set(_item(record.owner, item["id"]), f"r{record.id}", ex=self._age)
            if record.replay_key is not None:
                batch.set(_replay(record.owner, record.replay_key), record.id, ex=self._age)
            batch.execute()
            self._touch(chain)
            self._evict()

    def get(self, owner: str, response_id: str) -> Record | None:
        with self._explained():
            batch = self._redis.pipeline()
            batch.hgetall(_response(response_id))
            batch.hgetall(_node(response_id))
            head, node = batch.execute()
            if not node or head.get(b"owner", b"").decode() != owner:
                return None
            self._touch(unpack(node[b"chain"]))
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
            known, final = self._redis.hmget(_response(response_id), "owner", "final")
            if known is None or known.decode() != owner or (output and final != b"1"):
                return None
            chain = self._chain(response_id)
            batch = self._redis.pipeline()
            for member in chain:
                batch.hmget(_node(member), "input", "output")
            nodes = batch.execute()
            if not chain or any(given is None for given, _ in nodes):
                return None
            self._touch(chain)
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
                place = None if item_id in found else self._redis.get(_item(owner, item_id))
                if place is None:
                    continue
                kind, holder = place[:1], place[1:].decode()
                if kind == b"r":
                    packed = [part for part in self._redis.hmget(_node(holder), "input", "output") if part is not None]
                    candidates = [item for part in packed for item in unpack(part)]
                else:
                    stored = self._redis.hget(_items(holder), item_id)
                    candidates = [unpack(stored)] if stored is not None else []
                found.update((item["id"], item) for item in candidates if item["id"] in wanted)
        return found

    def delete(self, owner: str, response_id: str) -> bool:
        with self._explained():
            known = self._redis.hget(_response(response_id), "owner")
            if known is None or known.decode() != owner:
                return False
            self._remove(response_id)
            return True

    def renew(self, owner: str, response_id: str, lease: float) -> bool:
        with self._explained():
            return bool(self._renew(keys=[_response(response_id)], args=[owner, lease]))

    def find_replay(self, owner: str, key: str) -> Record | None:
        with self._explained():
            response_id = self._redis.get(_replay(owner, key))
        return self.get(owner, response_id.decode()) if response_id is not None else None

    # Conversations ----------------------------------------------------------------------------------------------------

    def put_conversation(self, owner: str, conversation: JsonObject) -> None:
        key = _conversation(conversation["id"])
        with self._explained():
            self._redis.hset(key, mapping={"owner": owner, "object": pack(conversation)})
            self._redis.expire(key, self._age)

    def get_conversation(self, owner: str, conversation_id: str) -> JsonObject | None:
        with self._explained():
            if not self._owns(owner, conversation_id):
                return None
            self._keep(conversation_id)
            conversation: JsonObject = unpack(self._redis.hget(_conversation(conversation_id), "object"))
            return conversation

    def delete_conversation(self, owner: str, conversation_id: str) -> bool:
        with self._explained():
            if not self._owns(owner, conversation_id):
                return False
            self._redis.delete(_conversation(conversation_id), _items(conversation_id), _order(conversation_id))
            return True

    def conversation_items(self, owner: str, conversation_id: str) -> list[JsonObject]:
        with self._explained():
            if not self._owns(owner, conversation_id):
                return []
            ids = self._redis.lrange(_order(conversation_id), 0, -1)
            packed = self._redis.hmget(_items(conversation_id), ids) if ids else []
        return [unpack(item) for item in packed if item is not None]

    def append_items(self, owner: str, conversation_id: str, items: Sequence[JsonObject]) -> bool:
        with self._explained():
            if not self._owns(owner, conversation_id):
                return False
            for item in items:
                if self._redis.hsetnx(_items(conversation_id), item["id"], pack(item)):
                    self._redis.rpush(_order(conversation_id), item["id"])
                    self._redis.set(_item(owner, item["id"]), f"c{conversation_id}", ex=self._age)
            self._keep(conversation_id)
            return True

    def delete_item(self, owner: str, conversation_id: str, item_id: str) -> bool:
        with self._explained():
            if not self._owns(owner, conversation_id):
                return False
            self._redis.lrem(_order(conversation_id), 0, item_id)
            return bool(self._redis.hdel(_items(conversation_id), item_id))

    def close(self) -> None:
        self._redis.close()

    # The bounds -------------------------------------------------------------------------------------------------------

    @property
    def _age(self) -> int:
        return max(1, int(self._limits.age))

    def _chain(self, response_id: str) -> list[str]:
        """The ids from the first response up to this one; none when it is not there."""
        packed = self._redis.hget(_node(response_id), "chain")
        chain: list[str] = unpack(packed) if packed is not None else []
        return chain

    def _touch(self, chain: Sequence[str]) -> None:
        now = self._clock()
        batch = self._redis.pipeline()
        batch.zadd(_USED, dict.fromkeys(chain, now))
        for member in chain:
            batch.expire(_node(member), self._age)
        batch.execute()

    def _evict(self) -> None:
        for _ in range(_EVICTED_PER_WRITE):
            count, size = self._redis.zcard(_USED), int(self._redis.get(_BYTES) or 0)
            [(member, used_at)] = self._redis.zrange(_USED, 0, 0, withscores=True)
            within = count <= self._limits.responses and size <= self._limits.bytes
            if within and used_at > self._clock() - self._limits.age:
                return
            if not self._redis.zrem(_USED, member):
                continue  # another gateway removes it
            self._drop(member.decode())

    def _remove(self, response_id: str) -> None:
        """Remove a response, and those nodes of its chain that nothing needs any more."""
        chain = self._chain(response_id)
        self._redis.delete(_response(response_id))
        for member in reversed(chain):
            needed = int(self._redis.hget(_node(member), "children") or 0) or self._redis.exists(_response(member))
            if needed:
                return
            self._drop(member)
            previous = chain.index(member) - 1
            if previous >= 0:
                self._redis.hincrby(_node(chain[previous]), "children", -1)

    def _drop(self, member: str) -> None:
        size = int(self._redis.hget(_SIZES, member) or 0)
        batch = self._redis.pipeline()
        batch.delete(_response(member), _node(member))
        batch.zrem(_USED, member)
        batch.hdel(_SIZES, member)
        batch.decrby(_BYTES, size)
        batch.execute()

    def _owns(self, owner: str, conversation_id: str) -> bool:
        known = self._redis.hget(_conversation(conversation_id), "owner")
        return known is not None and known.decode() == owner

    def _keep(self, conversation_id: str) -> None:
        for key in (_conversation(conversation_id), _items(conversation_id), _order(conversation_id)):
            self._redis.expire(key, self._age)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        if time.monotonic() < self._down_until:
            raise StoreError(f"the store {self._url} could not be reached a moment ago")
        try:
            yield
        except redis.RedisError as error:
            if isinstance(error, redis.ConnectionError | redis.TimeoutError):
                self._down_until = time.monotonic() + _DOWN
            raise StoreError(f"the store {self._url}: {error}") from error


def _response(response_id: str) -> str:
    return f"{_PREFIX}response:{response_id}"


def _node(response_id: str) -> str:
    return f"{_PREFIX}node:{response_id}"


def _item(owner: str, item_id: str) -> str:
    return f"{_PREFIX}item:{owner}:{item_id}"


def _replay(owner: str, key: str) -> str:
    return f"{_PREFIX}replay:{owner}:{key}"


def _conversation(conversation_id: str) -> str:
    return f"{_PREFIX}conversation:{conversation_id}"


def _items(conversation_id: str) -> str:
    return f"{_PREFIX}conversation-items:{conversation_id}"


def _order(conversation_id: str) -> str:
    return f"{_PREFIX}conversation-order:{conversation_id}"
