"""The Redis store: what it keeps, and what becomes of it when the server loses keys, is full or down."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from responses_gateway.state.redis import RedisStore
from responses_gateway.state.store import Limits, Store, StoreError
from unit.state.records import PLENTY, Clock, ids, item, record, whole_of

PREFIX = "responses-gateway:1:"
KEEPING_ORDER = {f"{PREFIX}{name}" for name in ("used", "sizes", "bytes")}
in_redis = pytest.mark.parametrize("open_store", ["redis"], indirect=True)


def connected(url: str) -> "redis.Redis[str]":
    return redis.Redis.from_url(url, decode_responses=True)


def totals(server: "redis.Redis[str]") -> tuple[int, int, int]:
    """How many responses the server keeps order of, the sum of their sizes, and what it takes that sum for."""
    sizes = [int(size) for size in server.hvals(f"{PREFIX}sizes")]
    assert server.zcard(f"{PREFIX}used") == len(sizes)
    return len(sizes), sum(sizes), int(server.get(f"{PREFIX}bytes") or 0)


def of_responses(server: "redis.Redis[str]") -> set[str]:
    """The keys that hold what responses consist of."""
    kinds = tuple(f"{PREFIX}{kind}:" for kind in ("response", "node", "live"))
    return {key.removeprefix(PREFIX) for key in server.scan_iter() if key.startswith(kinds)}


@in_redis
def test_keys_in_redis_expire(store: Store, redis_url: str, clock: Clock) -> None:
    store.put(record("a", replay_key="k"))
    store.put(record("b", "a", status="in_progress", lease=clock.now + 60))
    store.add_events("me", "b", b"x")
    store.put_conversation("me", {"id": "conv", "metadata": {}})
    store.append_items("me", "conv", [item("said")])
    server = connected(redis_url)
    lifetimes = {key: server.ttl(key) for key in server.scan_iter()}
    assert {key for key, seconds in lifetimes.items() if seconds < 0} == KEEPING_ORDER
    assert {key.removeprefix(PREFIX) for key in lifetimes if key not in KEEPING_ORDER} == {
        *("response:a", "node:a", "response:b", "node:b", "live:b", "replay:me:k"),
        *("item:me:in_a", "item:me:out_a", "item:me:in_b", "item:me:out_b", "item:me:said"),
        *("conversation:conv", "conversation-items:conv", "conversation-order:conv"),
    }
    assert all(
        PLENTY.age - 100 < seconds <= PLENTY.age for key, seconds in lifetimes.items() if key not in KEEPING_ORDER
    )


@in_redis
def test_what_is_used_lives_on(store: Store, redis_url: str) -> None:
    store.put(record("a"))
    store.put(record("b", "a"))
    store.put_conversation("me", {"id": "conv", "metadata": {}})
    store.append_items("me", "conv", [item("said")])
    server = connected(redis_url)
    uses: list[tuple[Callable[[], object], list[str]]] = [
        (lambda: store.get("me", "b"), ["node:a", "node:b"]),
        (lambda: store.history("me", "b"), ["node:a", "node:b"]),
        (lambda: store.put(record("c", "b")), ["node:a", "node:b"]),
        (
            lambda: store.get_conversation("me", "conv"),
            [f"conversation{part}:conv" for part in ("", "-items", "-order")],
        ),
        (
            lambda: store.append_items("me", "conv", [item("more")]),
            [f"conversation{part}:conv" for part in ("", "-items", "-order")],
        ),
    ]
    for use, kept in uses:
        for key in kept:
            server.expire(f"{PREFIX}{key}", 10)
        use()
        assert [key for key in kept if server.ttl(f"{PREFIX}{key}") <= 10] == []


@in_redis
def test_what_a_redis_holds_is_counted(store: Store, redis_url: str, clock: Clock) -> None:
    server = connected(redis_url)
    store.put(record("a", status="in_progress", lease=clock.now + 60))
    count, size, total = totals(server)
    assert (count, size) == (1, total)
    store.put(record("a", status="in_progress", lease=clock.now + 70, events=b"x" * 100))
    assert totals(server) == (1, size + 100, size + 100)
    store.put(record("a"))
    for name, previous in (("b", "a"), ("c", "b"), ("d", "a")):
        store.put(record(name, previous))
    count, size, total = totals(server)
    assert (count, size) == (4, total)
    assert store.delete("me", "a")
    assert store.delete("me", "b")
    assert of_responses(server) == {"node:a", "node:b", "response:c", "node:c", "response:d", "node:d"}
    assert ids(store.history("me", "c")) == ["in_a", "out_a", "in_b", "out_b", "in_c", "out_c"]
    assert store.delete("me", "c")
    assert of_responses(server) == {"node:a", "response:d", "node:d"}
    assert ids(store.history("me", "d")) == ["in_a", "out_a", "in_d", "out_d"]
    assert totals(server)[1] == totals(server)[2] > 0
    assert store.delete("me", "d")
    assert of_responses(server) == set()
    assert totals(server) == (0, 0, 0)


@in_redis
def test_what_a_redis_evicted_does_not_come_back_by_a_deletion(store: Store, redis_url: str) -> None:
    for name, previous in (("a", None), ("b", "a"), ("c", "b")):
        store.put(record(name, previous))
    server = connected(redis_url)
    server.delete(f"{PREFIX}node:b", f"{PREFIX}response:b")
    assert store.delete("me", "c")
    assert of_responses(server) == {"response:a", "node:a"}


@in_redis
def test_a_redis_forgets_what_is_too_old_by_its_own_clock_or_the_gateways(
    store: Store, redis_url: str, clock: Clock
) -> None:
    store.put(record("a"))
    clock.now += PLENTY.age - 1
    store.put(record("b"))
    assert store.get("me", "a")
    clock.now += PLENTY.age - 1
    store.get("me", "a")
    clock.now += 2
    store.put(record("c"))
    assert [name for name in "abc" if store.get("me", name)] == ["a", "c"]
    assert totals(connected(redis_url))[0] == 2


@in_redis
def test_one_write_removes_a_bounded_number(store: Store, redis_url: str, clock: Clock) -> None:
    for number in range(30):
        store.put(record(str(number)))
    smaller = RedisStore(redis_url, Limits(3, 1 << 30, 1000.0), clock)
    smaller.put(record("last"))
    assert totals(connected(redis_url))[0] == 31 - 16
    smaller.put(record("another"))
    assert totals(connected(redis_url))[0] == 3
    assert smaller.get("me", "last")
    smaller.close()


@in_redis
@pytest.mark.parametrize("kind", ["response", "node"])
def test_what_a_redis_evicted_is_not_there(store: Store, redis_url: str, kind: str) -> None:
    store.put(record("a", owner="", replay_key="k"))
    redis.Redis.from_url(redis_url).delete(f"responses-gateway:1:{kind}:a")
    assert store.get("", "a") is None
    assert store.history("", "a") is None
    assert store.find_replay("", "k") is None
    store.put(record("b", "a", owner="", whole=whole_of("in_a", "out_a", "in_b")))
    assert ids(store.history("", "b")) == ["in_a", "out_a", "in_b", "out_b"]


@in_redis
@pytest.mark.parametrize("name", ["used", "sizes", "bytes", "conversation:conv"])
def test_a_redis_that_evicted_what_keeps_order_goes_on(store: Store, redis_url: str, name: str) -> None:
    store.put(record("a"))
    store.put_conversation("me", {"id": "conv", "metadata": {}})
    redis.Redis.from_url(redis_url).delete(f"responses-gateway:1:{name}")
    store.put(record("b", "a"))
    assert ids(store.history("me", "b")) == ["in_a", "out_a", "in_b", "out_b"]
    assert store.delete("me", "b")
    assert store.get_conversation("me", "conv") in (None, {"id": "conv", "metadata": {}})


@in_redis
def test_a_redis_that_is_full_says_so_and_goes_on_answering(store: Store, redis_url: str) -> None:
    server = redis.Redis.from_url(redis_url)
    store.put(record("a"))
    server.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreError, match="is full"):
            store.put(record("b", "a"))
        assert store.get("me", "a")
        assert ids(store.history("me", "a")) == ["in_a", "out_a"]
        assert store.get("me", "b") is None
    finally:
        server.config_set("maxmemory", 0)
    store.put(record("c", "a"))
    assert ids(store.history("me", "c")) == ["in_a", "out_a", "in_c", "out_c"]


def test_a_password_of_a_redis_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as raised:
        RedisStore("redis://user:hunter2@127.0.0.1:1/0", PLENTY)
    assert "hunter2" not in str(raised.value)


def test_a_redis_that_is_down(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        RedisStore(f"unix://{tmp_path}/nobody", PLENTY)


def test_a_redis_that_went_away_is_not_asked_at_once_again(
    mortal_redis: tuple[str, Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, kill = mortal_redis
    store = RedisStore(url, PLENTY)
    store.put(record("a"))
    kill()
    with pytest.raises(StoreError, match=f"^the store {url}: "):
        store.get("me", "a")
    for ask in (lambda: store.get("me", "a"), lambda: store.delete("me", "a")):
        with pytest.raises(StoreError, match="could not be reached a moment ago"):
            ask()
    monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + 6)
    with pytest.raises(StoreError, match=f"^the store {url}: "):
        store.get("me", "a")
    store.close()
