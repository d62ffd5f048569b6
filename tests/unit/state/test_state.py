"""What is kept between requests, made from the settings: where the store is, how long it keeps, who opens envelopes."""

import asyncio
import json
import sqlite3
import zlib
from pathlib import Path
from typing import Any

import pytest

from responses_gateway.settings.settings import Settings
from responses_gateway.state import packing
from responses_gateway.state.packing import EventLog, events_in, pack, unpack
from responses_gateway.state.secret import SecretError
from responses_gateway.state.state import State
from responses_gateway.state.store import Record, StoreError
from responses_gateway.translate.reasoning import PLAIN_ENVELOPES
from unit.state.records import record


def asked(settings: Settings, *puts: Record, environ: dict[str, str] | None = None) -> Record | None:
    """The response `a` in the store of the settings, after these were put there."""

    async def ask() -> Record | None:
        state = State(settings, environ or {})
        assert state.storage is not None
        try:
            for one in puts:
                await state.storage.write(lambda store, one=one: store.put(one))  # type: ignore[misc]
            return await state.storage.read(lambda store: store.get("me", "a"))
        finally:
            await state.close()

    return asyncio.run(ask())


def test_without_a_store_there_is_none() -> None:
    state = State(Settings(store="none"))
    assert state.storage is None
    asyncio.run(state.close())


def test_a_file_is_there_again_and_memory_is_not(tmp_path: Path) -> None:
    in_file = Settings(store="sqlite", store_path=tmp_path / "s")
    assert asked(in_file, record("a")) is not None
    assert asked(in_file) is not None
    assert asked(Settings(store="memory"), record("a")) is not None
    assert asked(Settings(store="memory")) is None


def test_where_the_file_is_when_nobody_says(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    assert asked(Settings(store="sqlite"), record("a"), environ=environ) is not None
    assert (tmp_path / "responses-gateway" / "responses.sqlite3").exists()


@pytest.mark.parametrize(("days", "there"), [(1, False), (3, True)])
def test_ages_are_in_days(tmp_path: Path, days: float, there: bool) -> None:
    settings = Settings(store="sqlite", store_path=tmp_path / "s", store_max_age=days)
    asked(settings, record("a"))
    with sqlite3.connect(tmp_path / "s") as connection:
        connection.execute("UPDATE responses SET created_at = created_at - 2 * 86400")
    connection.close()
    assert (asked(settings) is not None) is there


def test_the_settings_bound_the_store() -> None:
    assert asked(Settings(store="memory", store_max_responses=1), record("a"), record("b")) is None
    assert asked(Settings(store="memory", store_max_responses=2), record("a"), record("b")) is not None
    with pytest.raises(StoreError, match="more than the store may hold"):
        asked(Settings(store="memory", store_max_bytes=10), record("a"))


@pytest.mark.parametrize("store", ["redis://user:hunter2@127.0.0.1:1/0", "sqlite"])
def test_a_store_that_cannot_be_opened_is_replaced_by_memory(
    tmp_path: Path, store: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    settings = Settings(store=store, store_path=tmp_path / "file" / "s")
    assert asked(settings, record("a")) is not None
    assert "Responses are kept in memory only, because " in caplog.text
    assert "hunter2" not in caplog.text


def test_without_a_secret_envelopes_are_plain() -> None:
    assert State(Settings(store="none")).envelopes("reasoning", "m") is PLAIN_ENVELOPES


def test_envelopes_are_for_a_purpose_and_an_owner(tmp_path: Path) -> None:
    state = State(Settings(store="none", secret_file=tmp_path / "secret"))
    envelope = state.envelopes("provider", "model", owner="me").seal({"a": 1})
    openers: list[tuple[tuple[str, ...], str, bool]] = [
        (("provider", "model"), "me", True),
        (("provider", "model"), "", True),
        (("provider", "model"), "you", False),
        (("provider", "other"), "me", False),
        (("providermodel",), "me", False),
    ]
    for purpose, owner, opens in openers:
        assert state.envelopes(*purpose, owner=owner).open(envelope) == ({"a": 1} if opens else None)
    nobodys = state.envelopes("provider", "model").seal({"a": 1})
    assert state.envelopes("provider", "model", owner="you").open(nobodys) == {"a": 1}
    again = State(Settings(store="none", secret_file=tmp_path / "secret"))
    assert again.envelopes("provider", "model", owner="me").open(envelope) == {"a": 1}
    assert envelope != state.envelopes("provider", "model", owner="me").seal({"a": 1})


def test_a_secret_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(33))
    secret.chmod(0o600)
    with pytest.raises(SecretError, match="has 33 bytes; a secret has 32"):
        State(Settings(store="none", secret_file=secret))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601])
def test_a_secret_is_for_its_owner_alone(tmp_path: Path, mode: int) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(32))
    secret.chmod(mode)
    with pytest.raises(SecretError, match="can be read by other users"):
        State(Settings(store="none", secret_file=secret))


# How values are kept.


@pytest.mark.parametrize("value", [[], {"a": "é" * 10_000}, [{"id": "x"}], None, "text"])
def test_what_is_packed_can_be_unpacked(value: Any) -> None:
    packed = pack(value)
    assert unpack(packed) == value
    assert len(packed) < 1000


@pytest.mark.parametrize("packed", [b"", b"no zlib", zlib.compress(b"no json"), pack("x")[:-3]])
def test_what_was_not_packed_here_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (any of its kinds)
        unpack(packed)


def events(count: int, size: int = 10) -> list[dict[str, Any]]:
    return [{"sequence_number": number, "text": "x" * size} for number in range(count)]


@pytest.mark.parametrize(("count", "size"), [(0, 1), (1, 1), (3, 20_000), (2000, 20), (1, 100_000)])
def test_a_log_gives_its_events_back(count: int, size: int) -> None:
    log, told = EventLog(), events(count, size)
    for event in told:
        log.add(b"event: x\ndata: %b\n\n" % json.dumps(event).encode())
    packed = log.close()
    assert events_in(packed) == told
    assert len(packed) < 100 + 12 * count + count * size / 20
    assert events_in(b"") == []


def test_a_log_of_others_is_refused() -> None:
    with pytest.raises(ValueError, match="not an event log"):
        events_in(b"no zlib")


def test_what_unpacks_to_any_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_MAX_SIZE", 1000)
    log = EventLog()
    log.add(b"data: %b\n\n" % json.dumps("x" * 2000).encode())
    with pytest.raises(ValueError, match="not an event log"):
        events_in(log.close())
    with pytest.raises(ValueError, match="not a packed value"):
        unpack(pack("x" * 2000))
    assert unpack(pack("x" * 900)) == "x" * 900
