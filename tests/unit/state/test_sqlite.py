"""The SQLite store: its file, its log, and other processes that use it."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from responses_gateway.state import sqlite_file
from responses_gateway.state.sqlite import SqliteStore
from responses_gateway.state.store import Limits, StoreError
from unit.state.records import PLENTY, Clock, ids, item, record


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


def test_what_runs_is_not_removed_to_make_room(clock: Clock) -> None:
    store = SqliteStore(None, Limits(1, 1 << 30, 1000.0), clock)
    store.put(record("a", status="in_progress", lease=clock.now + 60))
    store.put(record("b"))
    assert [name for name in "ab" if store.get("me", name)] == ["a"]
    store.put(record("a"))
    store.put(record("c"))
    assert [name for name in "abc" if store.get("me", name)] == ["c"]
    store.close()


def test_one_write_removes_a_bounded_number(tmp_path: Path, clock: Clock) -> None:
    plenty = SqliteStore(tmp_path / "s", PLENTY, clock)
    for number in range(30):
        plenty.put(record(str(number)))
    plenty.close()
    store = SqliteStore(tmp_path / "s", Limits(3, 1 << 30, 1000.0), clock)
    names = [*map(str, range(30)), "last"]
    store.put(record("last"))
    assert len([name for name in names if store.get("me", name)]) == 31 - 16
    store.put(record("another"))
    assert [name for name in [*names, "another"] if store.get("me", name)] == ["29", "last", "another"]
    store.close()


def said(name: str) -> dict[str, object]:
    """An item that compression makes no smaller than 500 bytes."""
    return {**item(f"said_{name}"), "noise": os.urandom(500).hex()}


def test_what_was_not_used_for_longest_makes_room(clock: Clock) -> None:
    store = SqliteStore(None, Limits(1000, 10_000, 1000.0), clock)
    for name in ("first", "second", "third"):
        store.put_conversation("me", {"id": name})
        store.append_items("me", name, [said(name)])
    store.put(record("a"))
    store.put(record("b"))
    assert store.get_conversation("me", "first") == {"id": "first"}
    assert store.get("me", "a")
    by_use = ["said_second", "said_third", "in_b", "said_first", "in_a"]
    gone: list[str] = []
    for number in range(30):
        store.put_conversation("me", {"id": f"new_{number}"})
        store.append_items("me", f"new_{number}", [said(str(number))])
        there = store.items("me", by_use)
        gone += [name for name in by_use if name not in {*there, *gone}]
    assert gone == by_use
    store.close()


@pytest.mark.parametrize("change", ["put", "put_conversation", "append_items"])
def test_each_write_removes_what_is_too_old(clock: Clock, change: str) -> None:
    store = SqliteStore(None, PLENTY, clock)
    store.put_conversation("me", {"id": "old"})
    store.append_items("me", "old", [item("said")])
    store.put(record("a"))
    clock.now += PLENTY.age - 1
    store.put_conversation("me", {"id": "young"})
    assert set(store.items("me", ["said", "in_a"])) == {"said", "in_a"}
    clock.now += 2
    match change:
        case "put":
            store.put(record("b"))
        case "put_conversation":
            store.put_conversation("me", {"id": "new"})
        case _:
            assert store.append_items("me", "young", [item("more")])
    assert store.items("me", ["said", "in_a"]) == {}
    assert store.get_conversation("me", "young")
    store.close()


def test_the_deleted_goes_when_nothing_continues_it(clock: Clock) -> None:
    store = SqliteStore(None, PLENTY, clock)
    for name, previous in (("a", None), ("b", "a"), ("c", "a")):
        store.put(record(name, previous))
    for gone, there in (("a", True), ("b", True), ("c", False)):
        assert store.delete("me", gone)
        store.put(record(f"after_{gone}"))
        assert bool(store.items("me", ["in_a"])) is there
    store.close()


def test_it_is_there_again_after_a_restart(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "s", PLENTY)
    first.put(record("a"))
    second = SqliteStore(tmp_path / "s", PLENTY)
    assert second.get("me", "a")
    second.put(record("b", "a"))
    assert ids(first.history("me", "b")) == ["in_a", "out_a", "in_b", "out_b"]
    first.close()
    second.close()


def test_the_log_stays_short_under_steady_traffic(tmp_path: Path) -> None:
    """Also while somebody else has the file open, and with reads in between."""
    path, log = tmp_path / "s", tmp_path / "s-wal"
    store, other = SqliteStore(path, Limits(10_000, 32 << 20, 1000.0)), SqliteStore(path, PLENTY)
    longest = 0
    for number in range(600):
        store.put(record(str(number)))
        store.get("me", str(number))
        other.get("me", str(number))
        longest = max(longest, log.stat().st_size)
    assert longest < 5 << 20
    store.close()
    other.close()


def test_a_short_log_is_part_of_what_the_store_may_take(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s", Limits(1000, 4000, 1000.0))
    with pytest.raises(StoreError, match="more than the store may hold"):
        store.put(record("big", events=bytes(3600)))
    store.close()


def test_reads_do_not_wait_for_another_writer(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "_BUSY", 60.0)
    store = SqliteStore(tmp_path / "s", Limits(2, 1 << 30, 1000.0), clock)
    store.put(record("a"))
    store.put(record("b"))
    with sqlite3.connect(tmp_path / "s", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(store.get, "me", "a").result(20)
            assert pool.submit(store.history, "me", "a").result(20)
        other.execute("ROLLBACK")
    other.close()
    store.put(record("c"))
    assert [name for name in "abc" if store.get("me", name)] == ["a", "c"]
    store.close()


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


def test_reads_alone_do_not_make_the_log_longer(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s", Limits(1000, 8 << 20, 1000.0))
    store.put(record("a"))
    for _ in range(1000):
        store.get("me", "a")
    assert (tmp_path / "s-wal").stat().st_size < 2 << 20
    store.close()


def test_a_file_that_somebody_else_writes_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "_BUSY", 60.0)
    first = SqliteStore(tmp_path / "s", PLENTY)
    first.put(record("a"))
    with sqlite3.connect(tmp_path / "s", isolation_level=None) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        second = pool.submit(SqliteStore, tmp_path / "s", PLENTY).result(20)
        assert second.get("me", "a")
        other.execute("ROLLBACK")
    other.close()
    first.close()
    second.close()


def test_notes_grow_old(clock: Clock) -> None:
    store = SqliteStore(None, PLENTY, clock)
    store.put_note("me", "resp_1", "openai")
    clock.now += PLENTY.age - 1
    assert store.note("me", "resp_1") == "openai"
    clock.now += 2
    assert store.note("me", "resp_1") is None
    assert not store.is_anothers("you", "resp_1")
    store.put_note("me", "resp_2", "openai")
    assert store._file.rows("SELECT count(*) FROM notes", ()) == [(1,)]
    store.close()


def test_a_file_of_an_earlier_gateway_gets_the_tables_that_came_later(tmp_path: Path, clock: Clock) -> None:
    SqliteStore(tmp_path / "s", PLENTY, clock).close()
    with sqlite3.connect(tmp_path / "s") as connection:
        connection.execute("DROP TABLE notes")
    connection.close()
    store = SqliteStore(tmp_path / "s", PLENTY, clock)
    store.put_note("me", "resp_1", "openai")
    assert store.note("me", "resp_1") == "openai"
    store.close()
