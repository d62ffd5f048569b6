"""Which API a target speaks: asked once in a day, whatever restarts in between."""

import asyncio
from pathlib import Path

from responses_gateway.settings.settings import Provider, Settings
from responses_gateway.state.state import State
from responses_gateway.upstream.routing import Route, Router
from responses_gateway.upstream.spoken_apis import MAX_AGE, SpokenApis


def settings(path: Path | None) -> Settings:
    provider = {"profile": {"name": "p", "base_url": "http://p.test/v1", "api": "auto"}, "base": "openai-compatible"}
    kept = {"store": "sqlite", "store_path": path / "store.sqlite3"} if path is not None else {"store": "none"}
    return Settings(providers={"p": Provider.model_validate(provider)}, **kept)


def route(settings: Settings) -> Route:
    return Router(settings).resolve("p/m")


def test_it_is_known_after_a_restart_to_its_owner(tmp_path: Path) -> None:
    now = 1e9
    known = settings(tmp_path)

    async def run() -> None:
        state = State(known)
        apis = SpokenApis(lambda: now)
        assert await apis.api("me", route(known), state.storage) == "auto"
        apis.note_chat("me", route(known), state.storage)
        assert await apis.api("me", route(known), state.storage) == "chat"
        await state.close()
        again = State(known)
        later = SpokenApis(lambda: now + 60)
        assert await later.api("me", route(known), again.storage) == "chat"
        assert await later.api("you", route(known), again.storage) == "auto"
        next_day = SpokenApis(lambda: now + MAX_AGE)
        assert await next_day.api("me", route(known), again.storage) == "auto"
        await again.close()

    asyncio.run(run())


def test_it_is_known_without_a_store() -> None:
    known = settings(None)

    async def run() -> None:
        apis = SpokenApis(lambda: 5.0)
        assert await apis.api("me", route(known), None) == "auto"
        apis.note_chat("me", route(known), None)
        assert await apis.api("me", route(known), None) == "chat"

    asyncio.run(run())
