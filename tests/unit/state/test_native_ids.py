"""Which provider keeps a response: told to its owner only, also after a restart and at another gateway."""

import asyncio
from pathlib import Path

import pytest

from responses_gateway.settings.settings import Settings
from responses_gateway.state.native_ids import MAX_IDS, NativeIds
from responses_gateway.state.state import State
from responses_gateway.state.storage import Storage
from responses_gateway.state.store import Store, StoreError


def settings(path: Path) -> Settings:
    return Settings(store="sqlite", store_path=path / "store.sqlite3")


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    async def first() -> None:
        state = State(settings(tmp_path))
        state.native_ids.remember("me", "resp_1", "openai", lasting=True)
        state.native_ids.remember("me", "resp_2", "openai", lasting=False)
        assert await state.native_ids.provider("me", "resp_2") == "openai"
        await state.close()

    async def second() -> None:
        state = State(settings(tmp_path))
        assert await state.native_ids.provider("me", "resp_1") == "openai"
        assert await state.native_ids.provider("you", "resp_1") is None
        assert await state.native_ids.provider("me", "resp_2") is None
        assert state.storage is not None
        anothers = state.native_ids.is_anothers
        for owner, response_id, expected in (("you", "resp_1", True), ("me", "resp_1", False), ("you", "new", False)):
            assert await state.storage.read(lambda store, o=owner, i=response_id: anothers(o, i, store)) is expected
        await state.close()

    asyncio.run(first())
    asyncio.run(second())


def test_two_gateways_share_what_they_know(tmp_path: Path) -> None:
    async def run() -> None:
        one, other = State(settings(tmp_path)), State(settings(tmp_path))
        one.native_ids.remember("me", "resp_1", "openai", lasting=True)
        assert one.storage is not None
        await one.storage.write(lambda store: None)
        assert await other.native_ids.provider("me", "resp_1") == "openai"
        for state in (one, other):
            await state.close()

    asyncio.run(run())


def test_without_a_store_memory_serves() -> None:
    ids = NativeIds(None)
    for number in range(MAX_IDS + 1):
        ids.remember("me", f"resp_{number}", "openai", lasting=True)
    assert asyncio.run(ids.provider("me", "resp_0")) is None
    assert asyncio.run(ids.provider("me", "resp_1")) == "openai"
    assert ids.is_anothers("you", "resp_1", None)
    assert not ids.is_anothers("you", "resp_0", None)


def test_a_store_that_fails_does_not_take_what_memory_has() -> None:
    def refuse() -> Store:
        raise StoreError("no disk")

    async def run() -> None:
        ids = NativeIds(Storage(refuse))
        ids.remember("me", "resp_1", "openai", lasting=True)
        assert await ids.provider("me", "resp_1") == "openai"
        with pytest.raises(Exception, match="no disk"):
            await ids.provider("me", "resp_2")

    asyncio.run(run())


def test_one_id_for_everybody_fills_nothing() -> None:
    ids = NativeIds(None)
    for number in range(100):
        ids.remember(f"owner_{number}", "resp_1", "openai", lasting=True)
        ids.remember("me", "x" * 10_000 + str(number), "openai", lasting=True)
    assert len(ids._recent) == 1
    assert len(ids._recent["resp_1"]) == 16
    assert asyncio.run(ids.provider("owner_99", "resp_1")) == "openai"
