"""Which provider keeps a response: told to its owner only, also after a restart and at another gateway."""

import asyncio
from pathlib import Path

from responses_gateway.settings.settings import Settings
from responses_gateway.state.native_ids import MAX_IDS, NativeIds
from responses_gateway.state.state import State


def settings(path: Path) -> Settings:
    return Settings(store="sqlite", store_path=path / "store.sqlite3")


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    async def first() -> None:
        state = State(settings(tmp_path))
        state.native_ids.remember("me", "resp_1", "openai", lasting=True)
        state.native_ids.remember("me", "resp_2", "openai", lasting=False)
        assert state.native_ids.provider("me", "resp_2", None) == "openai"
        await state.close()

    async def second() -> None:
        state = State(settings(tmp_path))
        assert state.storage is not None
        provider = state.native_ids.provider
        for owner, response_id, maker in (("me", "resp_1", "openai"), ("you", "resp_1", None), ("me", "resp_2", None)):
            assert await state.storage.read(lambda store, o=owner, i=response_id: provider(o, i, store)) == maker
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
        assert other.storage is not None
        assert await other.storage.read(lambda store: other.native_ids.provider("me", "resp_1", store)) == "openai"
        for state in (one, other):
            await state.close()

    asyncio.run(run())


def test_without_a_store_memory_serves() -> None:
    ids = NativeIds(None)
    for number in range(MAX_IDS + 1):
        ids.remember("me", f"resp_{number}", "openai", lasting=True)
    assert ids.provider("me", "resp_0", None) is None
    assert ids.provider("me", "resp_1", None) == "openai"
    assert ids.is_anothers("you", "resp_1", None)
    assert not ids.is_anothers("you", "resp_0", None)


def test_one_id_for_everybody_fills_nothing() -> None:
    ids = NativeIds(None)
    for number in range(100):
        ids.remember(f"owner_{number}", "resp_1", "openai", lasting=True)
        ids.remember("me", "x" * 10_000 + str(number), "openai", lasting=True)
        ids.remember("me", "\ud800", "openai", lasting=True)
    assert len(ids._recent) == 1
    assert len(ids._recent["resp_1"]) == 16
    assert ids.provider("owner_99", "resp_1", None) == "openai"
