"""What serves each listener of the proxy: its default upstream, and what all listeners share."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode

from responses_gateway.protocol.json import dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.settings.config_file import SettingsError
from responses_gateway.settings.settings import Settings
from responses_gateway.state.secret import SecretError
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn.listeners import Listener, Listeners, new_id

TARGET = "http://127.0.0.1:1234"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def mode(target: str = TARGET, port: int = 8080) -> ReverseMode:
    made = ProxyMode.parse(f"reverse:{target}@{port}")
    assert isinstance(made, ReverseMode)
    return made


def listeners(fallback: bool = True, **settings: Any) -> Listeners:
    made = Listeners(target_is_fallback=fallback, watch=None)
    made.use(Settings(**{"store": "none", **settings}))
    return made


def upstream(listener: Listener) -> str:
    """Where a model goes that nobody knows."""
    return listener.runtime.router.resolve("m").base_url


def test_ids_are_of_their_kind_and_their_own() -> None:
    assert new_id("resp").startswith("resp_")
    assert len(new_id("msg")) == len("msg_") + 32
    assert new_id("resp") != new_id("resp")


def test_the_target_serves_unless_the_settings_name_another_upstream() -> None:
    for named, fallback, served in (
        ({}, True, f"{TARGET}/v1"),
        ({}, False, f"{TARGET}/v1"),
        ({"upstream": "http://127.0.0.1:5/v1"}, True, "http://127.0.0.1:5/v1"),
    ):
        assert upstream(listeners(fallback, **named).of(mode())) == served


def test_each_listener_has_its_own_target() -> None:
    made = listeners()
    first, second = made.of(mode()), made.of(mode("https://example.com:8443", 8081))
    assert (upstream(first), upstream(second)) == (f"{TARGET}/v1", "https://example.com:8443/v1")
    assert made.of(mode()) is first
    assert first.services.router is first.runtime.router
    for name in ("sessions", "state", "jobs", "http"):
        assert getattr(first.runtime, name) is getattr(second.runtime, name)
    assert first.services.learned_repairs is second.services.learned_repairs is made.learned_repairs


def test_new_settings_serve_at_once_and_keep_what_is_remembered() -> None:
    made = listeners(store="memory")
    before = made.of(mode()).runtime
    made.use(Settings(store="memory", retries=7))
    after = made.of(mode()).runtime
    assert (before.settings.retries, after.settings.retries) == (2, 7)
    assert made.of(mode()).services.settings.retries == 7
    assert after.state is before.state
    assert after.sessions is before.sessions
    made.use(Settings(store="none"))
    last = made.of(mode()).runtime
    assert last.state is not before.state
    assert last.state.storage is None
    assert last.sessions is before.sessions


def test_settings_that_cannot_be_used_change_nothing(tmp_path: Path) -> None:
    made = listeners()
    before = made.of(mode())
    secret = tmp_path / "short"
    secret.write_bytes(b"short")
    secret.chmod(0o600)
    with pytest.raises(SettingsError):
        made.use(Settings(store="none", search="searxng"))
    with pytest.raises(SecretError):
        made.use(Settings(store="none", secret_file=secret))
    assert made.of(mode()) is before


def test_only_a_search_engine_makes_searches() -> None:
    asked = parse_request(dumps({"model": "m", "input": "hi", "tools": [{"type": "web_search"}]}))
    for settings, served in (({}, 0), ({"search": "searxng", "search_url": "http://127.0.0.1:1"}, 1)):
        hosted = listeners(**settings).of(mode()).runtime.hosted
        assert len(asyncio.run(hosted.open(asked, "", None, Ledger())).tools) == served


def test_a_watch_and_the_clock_reach_the_turns() -> None:
    def watch(*_: object) -> None: ...

    made = Listeners(target_is_fallback=True, watch=watch)
    made.use(Settings(store="none"))
    runtime = made.of(mode()).runtime
    assert runtime.watch is watch
    assert runtime.clock() > 1.7e9
    assert runtime.new_id("resp").startswith("resp_")


async def _models(answer: bytes) -> Any:
    """What the upstream's model list is to a listener when it answers with this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made = listeners(store="memory")
    listener = made.of(mode(f"http://127.0.0.1:{port}"))
    found = await listener.services.fetch_models(listener.runtime.router.resolve("m"), {})
    await listener.runtime.lists.refresh("", {})
    assert listener.runtime.router.listed(listener.runtime.router.resolve("m").provider) == [one["id"] for one in found]
    made.use(Settings(store="memory", retries=7))
    again = made.of(mode(f"http://127.0.0.1:{port}")).runtime.router
    assert again.listed(again.resolve("m").provider) == [one["id"] for one in found]
    storage = listener.runtime.state.storage
    assert storage is not None
    await made.close()
    with pytest.raises(Exception, match="closed"):
        await storage.read(lambda store: store.get("me", "x"))
    server.close()
    return found


def test_the_models_of_an_upstream_are_asked_for_and_remembered() -> None:
    listed = {"data": [{"id": "a"}, {"id": "b"}]}
    assert asyncio.run(_models(json.dumps(listed).encode())) == listed["data"]
