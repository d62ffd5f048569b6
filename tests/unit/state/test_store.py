"""The stores: SQLite in a file and in memory, and Redis."""

import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from responses_gateway.protocol import sse
from responses_gateway.state.packing import EventLog, events_in, pack, unpack
from responses_gateway.state.redis import RedisStore
from responses_gateway.state.sqlite import SqliteStore
from responses_gateway.state.store import Limits, Record, Store, StoreError

PLENTY = Limits(1000, 1 << 30, 1000.0)


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


type OpenStore = Callable[[Limits], Store]


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """A server of our own on a socket; None when none is installed."""
    server = shutil.which("redis-server") or shutil.which("valkey-server")
    if server is None:
        yield None
        return
    directory = tmp_path_factory.mktemp("redis")
    socket = directory / "s"
    command = [server, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("ready to accept connections" in line.lower() for line in process.stdout)
        yield f"unix://{socket}"
        process.terminate()


@pytest.fixture(params=["file", "memory", "redis"])
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, redis_url: str | None
) -> Iterator[OpenStore]:
    opened: list[Store] = []

    def open_one(limits: Limits) -> Store:
        match request.param:
            case "file":
                opened.append(SqliteStore(tmp_path / "state" / "store.sqlite3", limits, clock))
            case "memory":
                opened.append(SqliteStore(None, limits, clock))
            case _:
                if redis_url is None:
                    pytest.skip("neither redis-server nor valkey-server is installed")
                redis.Redis.from_url(redis_url).flushall()
                opened.append(RedisStore(redis_url, limits, clock))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    return open_store(PLENTY)


def item(item_id: str, text: str = "Hi.", **more: Any) -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": "user", "content": text, **more}


def record(name: str, previous: str | None = None, owner: str = "me", status: str = "completed", **more: Any) -> Record:
    return Record(
        owner,
        {
            "id": name,
            "status": status,
            "previous_response_id": previous,
            "output": [item(f"out_{name}", role="assistant")],
        },
        pack([item(f"in_{name}")]),
        **more,
    )


def ids(items: list[dict[str, Any]] | None) -> list[str]:
    assert items is not None
    return [one["id"] for one in items]


def test_looking_for_items_takes_time_in_proportion_to_their_number(store: Store) -> None:
    def seconds(count: int) -> float:
        begun = time.process_time()
        assert store.items("me", [f"msg_{number}" for number in range(count)]) == {}
        return time.process_time() - begun

    seconds(1000)
    assert seconds(8000) < 24 * seconds(1000)


def test_what_is_put_can_be_got(store: Store) -> None:
    log = EventLog()
    log.add(sse.encode({"type": "response.created", "sequence_number": 0}))
    log.add(sse.encode({"type": "response.completed", "sequence_number": 1}))
    store.put(record("a", events=log.close()))
    found = store.get("me", "a")
    assert found is not None
    assert found.response == record("a").response
    assert unpack(found.input) == [item("in_a")]
    assert [event["sequence_number"] for event in events_in(found.events)] == [0, 1]
    assert store.get("me", "b") is None


def test_nothing_is_shown_to_another_owner(store: Store) -> None:
    store.put(record("a", replay_key="k"))
    assert store.get("you", "a") is None
    assert store.history("you", "a") is None
    assert store.items("you", ["in_a", "out_a"]) == {}
    assert store.find_replay("you", "k") is None
    assert not store.delete("you", "a")
    assert store.get("me", "a") is not None


def test_chains_and_branches(store: Store) -> None:
    store.put(record("a"))
    store.put(record("b", "a"))
    store.put(record("c", "b"))
    store.put(record("d", "a"))
    assert ids(store.history("me", "c")) == ["in_a", "out_a", "in_b", "out_b", "in_c", "out_c"]
    assert ids(store.history("me", "d")) == ["in_a", "out_a", "in_d", "out_d"]


def test_history_leaves_out_calls_that_were_cut_off(store: Store) -> None:
    cut = record("a")
    cut.response["output"].append({"id": "fc", "type": "function_call", "status": "incomplete"})
    store.put(cut)
    assert ids(store.history("me", "a")) == ["in_a", "out_a"]


def test_a_deleted_response_stays_in_the_history_of_younger_ones(store: Store) -> None:
    store.put(record("a"))
    store.put(record("b", "a"))
    assert store.delete("me", "a")
    assert not store.delete("me", "a")
    assert store.get("me", "a") is None
    assert store.history("me", "a") is None
    assert ids(store.history("me", "b")) == ["in_a", "out_a", "in_b", "out_b"]
    assert store.delete("me", "b")
    store.put(record("z"))
    assert store.items("me", ["in_a"]) == {}


def test_a_response_that_runs_cannot_be_continued(store: Store) -> None:
    store.put(record("a", status="queued", lease=5.0))
    assert store.history("me", "a") is None
    assert store.renew("me", "a", 9.0)
    found = store.get("me", "a")
    assert found is not None
    assert found.lease == 9.0
    store.put(record("a", status="cancelled"))
    assert not store.renew("me", "a", 10.0)
    store.put(record("a", status="completed"))
    found = store.get("me", "a")
    assert found is not None
    assert found.response["status"] == "cancelled"


def test_the_least_recently_used_go_first(open_store: OpenStore) -> None:
    store = open_store(Limits(3, 1 << 30, 1000.0))
    for name in "abc":
        store.put(record(name))
    store.get("me", "a")
    store.put(record("d"))
    assert [name for name in "abcd" if store.get("me", name)] == ["a", "c", "d"]


def test_a_chain_longer_than_the_store_goes_on(tmp_path: Path, clock: Clock) -> None:
    store = SqliteStore(tmp_path / "s", Limits(3, 1 << 30, 1000.0), clock)
    store.put(record("0"))
    for number in range(1, 50):
        store.put(record(str(number), str(number - 1)))
    history = store.history("me", "49")
    assert history is not None
    assert len(history) == 100
    assert store.get("me", "3") is None
    for name in ("x", "y", "z", "x2", "y2", "z2"):
        store.put(record(name))
    assert store.items("me", ["in_40"]) == {}
    store.close()


def test_bytes_are_bounded(open_store: OpenStore) -> None:
    store = open_store(Limits(1000, 4000, 1000.0))
    for number in range(40):
        store.put(record(str(number)))
    alive = [number for number in range(40) if store.get("me", str(number))]
    assert alive == list(range(alive[0], 40))
    assert 5 < len(alive) < 30
    with pytest.raises(StoreError, match="more than the store may hold"):
        store.put(record("big", events=bytes(5000)))


@pytest.mark.parametrize("open_store", ["file", "memory"], indirect=True)
def test_age_is_bounded(store: Store, clock: Clock) -> None:
    store.put(record("a"))
    clock.now += 999
    assert store.get("me", "a")
    clock.now += 2
    assert store.get("me", "a") is None
    assert store.history("me", "a") is None


def test_items_by_id(store: Store) -> None:
    store.put(record("a"))
    store.put(record("b", "a"))
    store.put_conversation("me", {"id": "conv"})
    store.append_items("me", "conv", [item("own")])
    assert store.items("me", ["out_a", "in_b", "own", "nobody"]) == {
        "out_a": item("out_a", role="assistant"),
        "in_b": item("in_b"),
        "own": item("own"),
    }


def test_replays_are_found_by_their_key(store: Store) -> None:
    store.put(record("a", replay_key="k"))
    store.put(record("b", replay_key="k"))
    found = store.find_replay("me", "k")
    assert found is not None
    assert found.id == "b"


def test_conversations(store: Store) -> None:
    store.put_conversation("me", {"id": "conv", "metadata": {}})
    assert store.append_items("me", "conv", [item("1"), item("2")])
    assert store.append_items("me", "conv", [item("3"), item("2", "again")])
    assert not store.append_items("you", "conv", [item("4")])
    assert store.conversation_items("me", "conv") == [item("1"), item("2"), item("3")]
    assert store.conversation_items("you", "conv") == []
    assert not store.delete_item("you", "conv", "2")
    assert store.delete_item("me", "conv", "2")
    assert ids(store.conversation_items("me", "conv")) == ["1", "3"]
    store.put_conversation("me", {"id": "conv", "metadata": {"a": "b"}})
    assert store.get_conversation("me", "conv") == {"id": "conv", "metadata": {"a": "b"}}
    assert store.get_conversation("you", "conv") is None
    assert not store.delete_conversation("you", "conv")
    assert store.delete_conversation("me", "conv")
    assert store.conversation_items("me", "conv") == []


@pytest.mark.parametrize("open_store", ["file", "memory"], indirect=True)
def test_the_age_of_conversations_is_bounded(store: Store, clock: Clock) -> None:
    store.put_conversation("me", {"id": "old", "metadata": {}})
    clock.now += 999
    assert store.get_conversation("me", "old")
    clock.now += 1001
    assert store.get_conversation("me", "old") is None


@pytest.mark.parametrize("open_store", ["redis"], indirect=True)
def test_keys_in_redis_expire(store: Store, redis_url: str) -> None:
    store.put(record("a"))
    store.put_conversation("me", {"id": "conv", "metadata": {}})
    server = redis.Redis.from_url(redis_url)
    lasting = {key.decode().rsplit(":", 1)[-1] for key in server.scan_iter() if server.ttl(key) < 0}
    assert lasting == {"used", "sizes", "bytes"}
    assert server.ttl("responses-gateway:1:response:a") <= PLENTY.age


def test_a_redis_that_is_down(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        RedisStore(f"unix://{tmp_path}/nobody", PLENTY)


def test_it_is_there_again_after_a_restart(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "s", PLENTY)
    first.put(record("a"))
    second = SqliteStore(tmp_path / "s", PLENTY)
    assert second.get("me", "a")
    second.put(record("b", "a"))
    assert ids(first.history("me", "b")) == ["in_a", "out_a", "in_b", "out_b"]
    first.close()
    second.close()


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "state" / "s", PLENTY).close()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "s").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["header", "middle", "garbage"])
def test_a_corrupt_file_is_set_aside(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "s"
    store = SqliteStore(path, PLENTY)
    for number in range(200):
        store.put(record(str(number)))
    store.close()
    data = bytearray(path.read_bytes())
    match damage:
        case "header":
            data[:100] = b"x" * 100
        case "middle":
            data[8192:40960] = b"x" * 32768
        case _:
            data = bytearray(b"not a database")
    path.write_bytes(data)
    store = SqliteStore(path, PLENTY)
    assert store.get("me", "1") is None
    store.put(record("a"))
    assert store.get("me", "a")
    store.close()
    [aside] = tmp_path.glob("s.corrupt-*")
    assert aside.read_bytes() == data
    assert "corrupt" in caplog.text


def test_a_file_that_rots_while_it_is_open_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "s"
    store = SqliteStore(path, PLENTY)
    for number in range(200):
        store.put(record(str(number)))
    store.close()
    store = SqliteStore(path, PLENTY)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"x" * (size - 4096))
    with pytest.raises(StoreError):
        store.get("me", "150")
    store.put(record("a"))
    assert store.get("me", "a")
    store.close()
    assert "corrupt" in caplog.text


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "s")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="later version"):
        SqliteStore(tmp_path / "s", PLENTY)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be used"):
        SqliteStore(tmp_path / "file" / "s", PLENTY)


def test_threads(store: Store) -> None:
    faults: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            previous = None
            for number in range(30):
                store.put(record(f"{worker}-{number}", previous))
                previous = f"{worker}-{number}"
                assert len(store.history("me", previous) or ()) == 2 * (number + 1)
        except BaseException as error:  # noqa: BLE001
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
