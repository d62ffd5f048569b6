"""The Redis store: what it keeps, and what becomes of it when the server loses keys, is full or down."""

from pathlib import Path

import pytest
import redis

from responses_gateway.state.redis import RedisStore
from responses_gateway.state.store import Store, StoreError
from unit.state.records import PLENTY, ids, record, whole_of


@pytest.mark.parametrize("open_store", ["redis"], indirect=True)
def test_keys_in_redis_expire(store: Store, redis_url: str) -> None:
    store.put(record("a"))
    store.put_conversation("me", {"id": "conv", "metadata": {}})
    server = redis.Redis.from_url(redis_url)
    lasting = {key.decode().rsplit(":", 1)[-1] for key in server.scan_iter() if server.ttl(key) < 0}
    assert lasting == {"used", "sizes", "bytes"}
    assert server.ttl("responses-gateway:1:response:a") <= PLENTY.age


@pytest.mark.parametrize("open_store", ["redis"], indirect=True)
@pytest.mark.parametrize("kind", ["response", "node"])
def test_what_a_redis_evicted_is_not_there(store: Store, redis_url: str, kind: str) -> None:
    store.put(record("a", owner="", replay_key="k"))
    redis.Redis.from_url(redis_url).delete(f"responses-gateway:1:{kind}:a")
    assert store.get("", "a") is None
    assert store.history("", "a") is None
    assert store.find_replay("", "k") is None
    store.put(record("b", "a", owner="", whole=whole_of("in_a", "out_a", "in_b")))
    assert ids(store.history("", "b")) == ["in_a", "out_a", "in_b", "out_b"]


@pytest.mark.parametrize("open_store", ["redis"], indirect=True)
@pytest.mark.parametrize("name", ["used", "sizes", "bytes", "conversation:conv"])
def test_a_redis_that_evicted_what_keeps_order_goes_on(store: Store, redis_url: str, name: str) -> None:
    store.put(record("a"))
    store.put_conversation("me", {"id": "conv", "metadata": {}})
    redis.Redis.from_url(redis_url).delete(f"responses-gateway:1:{name}")
    store.put(record("b", "a"))
    assert ids(store.history("me", "b")) == ["in_a", "out_a", "in_b", "out_b"]
    assert store.delete("me", "b")
    assert store.get_conversation("me", "conv") in (None, {"id": "conv", "metadata": {}})


@pytest.mark.parametrize("open_store", ["redis"], indirect=True)
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
