"""The upstreams' own model lists: when they are asked for, and what is remembered."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from responses_gateway.protocol.json import JsonObject
from responses_gateway.settings.settings import Settings
from responses_gateway.upstream import model_lists as upstream_lists
from responses_gateway.upstream.http_client import HttpClient, HttpError, HttpResponse
from responses_gateway.upstream.model_lists import MAX_AGE, RETRY_AGE, ListCache, UpstreamLists
from responses_gateway.upstream.routing import Router
from responses_gateway.upstream.upstreams import Upstream

URL = "http://127.0.0.1:9"


class Unreachable(HttpClient):
    """Reaches nobody."""

    @asynccontextmanager
    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AsyncIterator[HttpResponse]:
        raise HttpError(f"{method} {url}")
        yield


class Hanging(HttpClient):
    """Never gets an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.hang = 0

    @asynccontextmanager
    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AsyncIterator[HttpResponse]:
        self.hang += 1
        await asyncio.Event().wait()
        yield HttpResponse(200, {}, None)  # type: ignore[arg-type]


HTTP = Unreachable()


def at(name: str) -> JsonObject:
    """A provider of the file at an address that no profile is for."""
    return {"base": "openai-compatible", "profile": {"name": name, "base_url": f"{URL}/{name}"}, "changes": {}}


class Upstreams:
    """In the place of `fetch_models`: answers `list`, or nothing as long as `gate` is closed."""

    def __init__(self) -> None:
        self.list: list[JsonObject] | None = [{"id": "one"}]
        self.asked: list[dict[str, str]] = []
        self.gate: asyncio.Event | None = None

    async def fetch(self, http: HttpClient, upstream: Upstream, headers: Mapping[str, str]) -> list[JsonObject] | None:
        self.asked.append(dict(headers))
        if self.gate is not None:
            await self.gate.wait()
        return self.list


@pytest.fixture
def upstreams(monkeypatch: pytest.MonkeyPatch) -> Upstreams:
    fake = Upstreams()
    monkeypatch.setattr(upstream_lists, "fetch_models", fake.fetch)
    return fake


def test_a_list_is_asked_for_once_until_it_is_old(upstreams: Upstreams) -> None:
    now = 0.0
    router = Router(Settings(), URL)
    lists = UpstreamLists(router, ListCache(), HTTP, lambda: now)

    async def run() -> None:
        nonlocal now
        await asyncio.gather(lists.refresh("", {}), lists.refresh("", {}))
        await lists.refresh("", {})
        assert len(upstreams.asked) == 1
        assert router.listed("openai-compatible") == ["one"]
        now = MAX_AGE
        upstreams.list = None
        await lists.refresh("", {})
        assert router.listed("openai-compatible") == ["one"]
        now += RETRY_AGE - 1
        await lists.refresh("", {})
        assert len(upstreams.asked) == 2
        now += 1
        await lists.refresh("", {})
        assert len(upstreams.asked) == 3

    asyncio.run(run())


def test_a_slow_upstream_is_not_waited_for_but_heard(upstreams: Upstreams) -> None:
    router = Router(Settings(), URL)
    lists = UpstreamLists(router, ListCache(), HTTP)

    async def run() -> None:
        upstreams.gate = asyncio.Event()
        await lists.refresh("", {}, patience=0)
        assert router.listed("openai-compatible") is None
        upstreams.gate.set()
        await lists.refresh("", {})
        assert router.listed("openai-compatible") == ["one"]
        assert len(upstreams.asked) == 1

    asyncio.run(run())


def test_a_new_router_knows_the_old_list_and_asks_again(upstreams: Upstreams) -> None:
    cache = ListCache()

    async def run() -> None:
        await UpstreamLists(Router(Settings(), URL), cache, HTTP).refresh("", {})
        router = Router(Settings(), URL)
        lists = UpstreamLists(router, cache, HTTP)
        assert router.listed("openai-compatible") == ["one"]
        await lists.refresh("", {})
        assert len(upstreams.asked) == 2
        elsewhere = Router(Settings(), "http://127.0.0.1:10")
        UpstreamLists(elsewhere, cache, HTTP)
        assert elsewhere.listed("openai-compatible") is None

    asyncio.run(run())


def test_only_unknown_models_make_turns_ask(upstreams: Upstreams) -> None:
    async def run() -> None:
        known = UpstreamLists(Router(Settings(), URL), ListCache(), HTTP)
        await known.ensure("whatever", "", {})
        await known.ensure(None, "", {})
        assert not upstreams.asked
        configuration = {"providers": {"a": {"base": "a", "profile": {"name": "a", "base_url": URL}}}}
        two = {**configuration["providers"], "b": {"base": "b", "profile": {"name": "b", "base_url": URL}}}
        router = Router(Settings.model_validate({"providers": two}))
        lists = UpstreamLists(router, ListCache(), HTTP)
        await lists.ensure("one", "", {})
        assert len(upstreams.asked) == 2
        assert router.resolve("one").model == "one"

    asyncio.run(run())


def test_the_clients_key_goes_only_where_it_is_forwarded(upstreams: Upstreams) -> None:
    client = {"authorization": "Bearer of-the-client", "cookie": "c"}

    async def run() -> None:
        await UpstreamLists(Router(Settings(), URL), ListCache(), HTTP).refresh("", client)
        await UpstreamLists(Router(Settings(upstream=f"{URL}/v1")), ListCache(), HTTP).refresh("", client)
        await UpstreamLists(Router(Settings(access_keys=["k"]), URL), ListCache(), HTTP).refresh("", client)
        assert [headers.get("authorization") for headers in upstreams.asked] == ["Bearer of-the-client", None, None]
        assert all("cookie" not in headers for headers in upstreams.asked)

    asyncio.run(run())


def test_a_turn_waits_for_lists_and_not_for_what_servers_say_of_themselves(
    upstreams: Upstreams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is in the list; all other questions to the server hang."""
    monkeypatch.setattr(upstream_lists, "PATIENCE", None)
    http = Hanging()
    router = Router(Settings.model_validate({"providers": {name: at(name) for name in ("a", "b")}}))
    lists = UpstreamLists(router, ListCache(), http)

    async def run() -> None:
        await lists.ensure("one", "", {})
        assert router.resolve("one").model == "one"
        assert http.hang > 0
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(asyncio.wait_for(run(), 60))
