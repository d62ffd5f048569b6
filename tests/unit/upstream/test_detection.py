"""Which server an upstream is, by what real servers say, and what is believed of what it tells about its models."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from responses_gateway.catalogue.models.codex_catalogue import UNKNOWN_CONTEXT_WINDOW
from responses_gateway.command_line.check import line
from responses_gateway.endpoints.models import models_body
from responses_gateway.settings.loading import load_settings
from responses_gateway.upstream.detection import _MAX_CARDS, FIRST_PAUSE, MAX_AGE
from responses_gateway.upstream.http_client import HttpClient, HttpError, HttpResponse
from responses_gateway.upstream.model_lists import MAX_AGE as LIST_AGE
from responses_gateway.upstream.model_lists import ListCache, UpstreamLists
from responses_gateway.upstream.probe import ProbeResult
from responses_gateway.upstream.routing import Route, Router

BASE = "http://10.0.0.7:7777"
MODEL = "some-model"


def listing(**entry: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1, **entry}]}


def unexpected(method: str, path: str) -> Any:
    return {"error": f"Unexpected endpoint or method. ({method} {path})"}


PROPS = {
    "default_generation_settings": {"params": {"temperature": 0.8, "max_tokens": -1}, "n_ctx": 16384},
    "total_slots": 2,
    "model_alias": MODEL,
    "model_path": "/models/some.gguf",
    "modalities": {"vision": False, "video": False, "audio": False},
    "chat_template": "{%- set ns = namespace() -%}",
    "chat_template_caps": {"supports_tools": True, "supports_parallel_tool_calls": False},
    "build_info": "b11549-unknown",
}
SERVERS: dict[str, dict[str, Any]] = {
    "llamacpp": {
        "/v1/models": listing(
            owned_by="llamacpp",
            architecture={"input_modalities": ["text"], "output_modalities": ["text"]},
            meta={"n_vocab": 2061, "n_ctx": 16384, "n_ctx_train": 131072},
        ),
        "/props": PROPS,
    },
    "vllm": {
        "/v1/models": listing(owned_by="vllm", root="/models/x", parent=None, max_model_len=40960, permission=[]),
        "/version": {"version": "0.33.0"},
    },
    "sglang": {
        "/v1/models": listing(owned_by="sglang", root=MODEL, parent=None, max_model_len=32768),
        "/get_model_info": {"model_path": MODEL, "is_generation": True, "has_image_understanding": True},
    },
    "lmstudio": {
        "/v1/models": listing(owned_by="organization_owner"),
        "/api/v0/models": {
            "object": "list",
            "data": [
                {
                    "id": MODEL,
                    "type": "vlm",
                    "publisher": "mlx-community",
                    "compatibility_type": "mlx",
                    "state": "loaded",
                    "max_context_length": 32768,
                    "loaded_context_length": 8192,
                }
            ],
        },
        "*": unexpected,
    },
    "ollama": {
        "/v1/models": listing(owned_by="library"),
        "/api/version": {"version": "0.13.5"},
        "/api/show": {
            "capabilities": ["completion", "vision", "tools"],
            "details": {"family": "qwen3"},
            "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 262144},
        },
        "/api/ps": {"models": [{"name": MODEL, "model": MODEL, "context_length": 4096, "size_vram": 1}]},
    },
    "litellm": {
        "/v1/models": listing(owned_by="openai"),
        "/health/liveliness": "I'm alive!",
        "/model/info": {
            "data": [
                {
                    "model_name": MODEL,
                    "litellm_params": {"model": "openai/some"},
                    "model_info": {"max_input_tokens": 200000, "max_output_tokens": 8000, "supports_vision": False},
                }
            ]
        },
    },
    "tgi": {
        "/v1/models": listing(owned_by=MODEL),
        "/info": {
            "model_id": MODEL,
            "max_input_tokens": 4095,
            "max_total_tokens": 6000,
            "router": "text-generation-router",
            "version": "3.3.6",
        },
    },
    "transformers": {
        "/v1/models": {"object": "list", "data": []},
        "/openapi.json": {"openapi": "3.1.0", "paths": {"/v1/chat/completions": {}, "/load_model": {"post": {}}}},
    },
}
"""What each says, by path; `*` for every other path, which else is not found."""

TOLD: dict[str, tuple[int | None, int | None, list[str] | None]] = {
    "llamacpp": (16384, None, ["text"]),
    "vllm": (40960, None, None),
    "sglang": (32768, None, ["text", "image"]),
    "lmstudio": (8192, None, ["text", "image"]),
    "ollama": (4096, None, ["text", "image"]),
    "litellm": (200000, 8000, ["text"]),
    "tgi": (6000, None, None),
    "transformers": (None, None, None),
}
"""Context window, output limit and modalities."""


class Server(HttpClient):
    """A server with these answers, and what it was asked."""

    def __init__(self, answers: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.answers = dict(answers)
        self.headers = dict(headers or {})
        self.asked: list[tuple[str, str, Mapping[str, str], bytes]] = []
        self.is_down = self.is_overloaded = False

    @asynccontextmanager
    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AsyncIterator[HttpResponse]:
        self.asked.append((method, url, headers or {}, body))
        if self.is_down:
            raise HttpError("refused")
        assert url.startswith(BASE)
        path = url.removeprefix(BASE)
        answer = self.answers.get(path)
        status = 200
        if answer is None and "*" in self.answers:
            answer = self.answers["*"](method, path)
        elif answer is None:
            status, answer = 404, {"detail": "Not Found"}
        if self.is_overloaded:
            status, answer = 503, {"error": {"message": "overloaded"}}
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

        async def pieces() -> AsyncIterator[bytes]:
            yield content

        yield HttpResponse(status, self.headers, pieces())

    def paths(self) -> list[str]:
        return [url.removeprefix(BASE) for _, url, *_ in self.asked]


class World:
    """A gateway for one server, whose clock stands still."""

    def __init__(self, server: Server, directory: Path, configuration: str = "", **options: str) -> None:
        self.now = 1000.0
        self.server = server
        file = directory / "config.yaml"
        file.write_text(configuration or f"upstream: {BASE}/v1\n")
        settings = load_settings({"gateway_config": str(file), **options}, {"HOME": "/nonexistent"})
        self.router = Router(settings)
        self.cache = ListCache()
        self.lists = UpstreamLists(self.router, self.cache, server, lambda: self.now)

    def refresh(self) -> None:
        asyncio.run(self.lists.refresh("", {}))

    def turns(self, count: int = 1) -> None:
        """So many turns that are answered, one after the other; all that they leave running is waited for."""

        async def run() -> None:
            for _ in range(count):
                await self.lists.ensure(MODEL, "", {})
                self.lists.answered(self.route().provider, "", {})
                others = asyncio.all_tasks() - {asyncio.current_task()}
                await asyncio.gather(*others)

        asyncio.run(run())

    def route(self, name: str = MODEL) -> Route:
        return self.router.resolve(name)


Make = Callable[..., World]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(server: Server | str, configuration: str = "", **options: str) -> World:
        return World(Server(SERVERS[server]) if isinstance(server, str) else server, tmp_path, configuration, **options)

    return made


@pytest.mark.parametrize("kind", SERVERS)
def test_each_server_is_recognised_and_heard(make: Make, kind: str) -> None:
    world = make(kind)
    assert world.route().profile.name == "openai-compatible"
    world.refresh()
    route = world.route()
    assert (route.profile.name, route.detected, route.provider) == (kind, kind, "openai-compatible")
    window, output, modalities = TOLD[kind]
    assert (route.card.context_window, route.card.max_output_tokens) == (window, output)
    assert modalities is None or route.card.modalities == modalities
    listed = {entry["slug"]: entry["context_window"] for entry in models_body(world.router.models())["models"]}
    assert listed.get(MODEL, UNKNOWN_CONTEXT_WINDOW) == (window or UNKNOWN_CONTEXT_WINDOW)


@pytest.mark.parametrize(
    "answers",
    [{"/props": PROPS}, {"/v1/models": listing(owned_by="me"), "/props": PROPS}, SERVERS["llamacpp"]],
    ids=["no list", "another owner", "everything"],
)
def test_one_sign_is_enough(make: Make, answers: Any) -> None:
    world = make(Server(answers))
    world.refresh()
    assert (world.route().profile.name, world.route().card.context_window) == ("llamacpp", 16384)


def test_a_header_is_a_sign(make: Make) -> None:
    world = make(Server({"/props": {"error": "hidden"}}, {"server": "llama.cpp"}))
    world.refresh()
    assert world.route().detected == "llamacpp"


def test_a_list_of_several_owners_is_no_sign(make: Make) -> None:
    both = {"data": [{"id": "a", "owned_by": "vllm"}, {"id": "b", "owned_by": "sglang"}]}
    world = make(Server({"/v1/models": both}))
    world.refresh()
    assert (world.route().profile.name, world.route().detected) == ("openai-compatible", "")


def test_abilities_of_models_come_along(make: Make) -> None:
    world = make("llamacpp")
    world.refresh()
    assert not world.route().card.parallel_tool_calls
    world = make("ollama")
    world.refresh()
    assert world.route().card.tools
    assert not world.route().card.reasoning


def test_the_first_turn_waits_for_nothing_and_asks_when_it_is_answered(make: Make) -> None:
    world = make("vllm")
    asyncio.run(world.lists.ensure(MODEL, "", {}))
    assert world.route().profile.name == "openai-compatible"
    assert not world.server.asked
    world.turns()
    assert world.route().profile.name == "vllm"


def test_only_the_upstream_that_answers_is_asked(make: Make) -> None:
    world = make("vllm", f"providers: {{one: {{base_url: '{BASE}/v1'}}, two: {{base_url: '{BASE}/two/v1'}}}}\n")

    async def run() -> None:
        world.lists.answered("one", "", {})
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    asyncio.run(run())
    assert world.server.paths()
    assert not any(path.startswith("/two") for path in world.server.paths())


def test_a_server_is_asked_once(make: Make) -> None:
    world = make("ollama")
    world.turns(5)
    first = world.server.paths()
    assert len(first) == len(set(first)) <= 10
    world.now += MAX_AGE - 1
    world.turns(5)
    assert world.server.paths() == first
    world.now += 1
    world.turns(5)
    assert len(world.server.paths()) == 2 * len(first)


def test_an_unknown_server_is_asked_once_too(make: Make) -> None:
    world = make(Server({"/v1/models": listing(owned_by="someone")}))
    world.turns(5)
    asked = len(world.server.asked)
    world.now += MAX_AGE - 1
    world.turns(5)
    assert len(world.server.asked) == asked <= 8
    world.refresh()
    assert len(world.server.asked) == asked + 1


@pytest.mark.parametrize("how", ["is_down", "is_overloaded"])
def test_one_that_is_down_is_asked_less_and_less(make: Make, how: str) -> None:
    world = make("vllm")
    setattr(world.server, how, True)
    rounds = []
    for _ in range(20):
        before = len(world.server.asked)
        world.turns(2)
        rounds.append(len(world.server.asked) > before)
        world.now += FIRST_PAUSE
    assert [at for at, asked in enumerate(rounds) if asked] == [0, 1, 3, 7, 15]
    assert len(world.server.asked) == 5 * 2
    setattr(world.server, how, False)
    world.now += MAX_AGE
    world.turns()
    assert world.route().detected == "vllm"


def test_what_was_said_holds_while_nothing_else_is_said(make: Make) -> None:
    world = make("ollama")
    world.refresh()
    silent = {path: answer for path, answer in SERVERS["ollama"].items() if path == "/v1/models"}
    world.server.answers = silent
    world.now += LIST_AGE
    world.refresh()
    assert (world.route().detected, world.route().card.context_window) == ("ollama", 4096)
    world.server.answers = dict(SERVERS["vllm"])
    world.now += LIST_AGE
    world.refresh()
    assert (world.route().detected, world.route().card.context_window) == ("vllm", 40960)


def test_new_settings_ask_again_and_know_what_was_known(make: Make) -> None:
    world = make("vllm")
    world.refresh()
    asked = len(world.server.asked)
    router = Router(load_settings({"gateway_upstream": f"{BASE}/v1"}, {"HOME": "/nonexistent"}))
    lists = UpstreamLists(router, world.cache, world.server, lambda: world.now)
    assert router.resolve(MODEL).detected == "vllm"

    async def turn() -> None:
        lists.answered("openai-compatible", "", {})
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    asyncio.run(turn())
    assert len(world.server.asked) == 2 * asked


@pytest.mark.parametrize(
    ("configuration", "profile", "name"),
    [
        (f"upstream: {BASE}/v1\nprovider: sglang\n", "sglang", MODEL),
        (f"upstream: {BASE}/v1\nprovider: openai-compatible\n", "openai-compatible", MODEL),
        (f"providers: {{gpu: {{base_url: '{BASE}/v1', profile: sglang}}}}\n", "gpu", f"gpu/{MODEL}"),
        (f"providers: {{sglang: {{base_url: '{BASE}/v1'}}}}\n", "sglang", f"sglang/{MODEL}"),
    ],
    ids=["provider", "the common ground", "profile", "entry"],
)
def test_a_profile_of_the_configuration_wins(make: Make, configuration: str, profile: str, name: str) -> None:
    world = make("ollama", configuration)
    before = world.route(name).profile
    world.refresh()
    world.turns()
    assert world.route(name).profile == before
    assert (world.route(name).profile.name, world.route(name).detected) == (profile, "")
    assert "/api/version" not in world.server.paths()


def test_a_known_host_wins(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "BASE", "http://localhost:30000")
    world = make("vllm")
    world.refresh()
    assert (world.route().profile.name, world.route().detected) == ("sglang", "")


def test_an_entry_keeps_its_name_and_its_changes(make: Make) -> None:
    entry = f"gpu: {{base_url: '{BASE}/v1', headers: {{x-team: blue}}, parameters: {{extra: {{top_k: 20}}}}}}"
    world = make("ollama", f"providers: {{{entry}}}\n")
    world.refresh()
    route = world.route(f"gpu/{MODEL}")
    assert (route.profile.name, route.detected, route.base_url) == ("gpu", "ollama", f"{BASE}/v1")
    assert route.profile.reasoning.field == "reasoning"
    assert route.profile.parameters.extra == {"top_k": 20}
    assert route.own_headers == {"x-team": "blue"}
    assert all(headers["x-team"] == "blue" for *_, headers, _ in world.server.asked)


def test_a_card_of_the_configuration_wins(make: Make) -> None:
    ruled = f"upstream: {BASE}/v1\nmodels: {{mine: {{model: {MODEL}, context_window: 1234}}}}\n"
    world = make("ollama", ruled, gateway_model_capabilities=f'{{"{MODEL}": {{"modalities": ["text"]}}}}')
    world.refresh()
    assert world.route("mine").card.context_window == 1234
    assert world.route(MODEL).card.context_window == 4096
    assert world.route(MODEL).card.modalities == ["text"]


def test_the_key_goes_along_to_this_host_only(make: Make) -> None:
    world = make("ollama", f"providers: {{gpu: {{base_url: '{BASE}/v1', api_key: sk-of-gpu}}}}\n")
    world.refresh()
    assert all(url.startswith(f"{BASE}/") for _, url, *_ in world.server.asked)
    assert {headers["authorization"] for *_, headers, _ in world.server.asked} == {"Bearer sk-of-gpu"}


def test_what_a_clients_key_found_out_is_the_clients() -> None:
    server = Server(SERVERS["vllm"])
    router = Router(load_settings({}, {"HOME": "/nonexistent"}), BASE)
    cache = ListCache()
    lists = UpstreamLists(router, cache, server)

    async def run() -> None:
        await lists.refresh("one", {"authorization": "Bearer one"})

    asyncio.run(run())
    assert {headers["authorization"] for *_, headers, _ in server.asked} == {"Bearer one"}
    assert router.of("one").resolve(MODEL).detected == "vllm"
    assert router.of("two").resolve(MODEL).detected == ""
    assert router.resolve(MODEL).detected == ""
    assert not cache.servers


def test_check_names_the_server(make: Make) -> None:
    world = make("vllm")
    world.refresh()
    said = line(world.route(), ProbeResult(MODEL, True, True, True, True, True))
    assert said.startswith("ok    openai-compatible: served by vllm, reachable")


# Hostile servers ------------------------------------------------------------------------------------------------------

WINDOWS: list[Any] = [True, -1, 0, 1e9, 1 << 62, "8192", None, [8192], {"a": 1}, float("nan")]


@pytest.mark.parametrize("window", WINDOWS, ids=repr)
def test_only_numbers_that_can_be_true_are_taken(make: Make, window: Any) -> None:
    props = {**PROPS, "default_generation_settings": {"n_ctx": window}}
    for answers in (
        {"/v1/models": listing(owned_by="vllm", max_model_len=window)},
        {"/v1/models": listing(owned_by="llamacpp", meta={"n_ctx": window}), "/props": props},
    ):
        world = make(Server(answers))
        world.refresh()
        assert world.route().card.context_window is None


NONSENSE: list[Any] = [
    b"",
    b"{",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b" " * (2 << 20) + b"{}",
    [],
    [[]],
    None,
    7,
    "text",
    {"data": 7},
    {"data": [7, None, [], {"id": 7}, {"id": ""}, {"id": {}}]},
    {"models": {"models": {}}},
    {"default_generation_settings": [], "modalities": [], "chat_template_caps": 1, "version": {}, "router": []},
    {"version": ["0.1"], "capabilities": {}, "model_info": [], "paths": [], "error": {}, "type": {}},
    {"capabilities": ["completion", 7, {}, None], "model_info": {"x.context_length": "y"}},
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda value: repr(value)[:30])
def test_nonsense_changes_nothing_that_counts(make: Make, nonsense: Any) -> None:
    everywhere = {path: nonsense for answers in SERVERS.values() for path in answers if path != "*"}
    for kind in SERVERS:
        world = make(Server({**everywhere, "/v1/models": SERVERS[kind]["/v1/models"]}))
        world.refresh()
        card = world.route().card
        assert card.context_window in (None, 16384, 40960, 32768)
        assert "text" in card.modalities
        models_body(world.router.models())


def test_a_server_with_thousands_of_models_is_asked_about_a_few(make: Make) -> None:
    many = {"data": [{"id": f"model-{number}", "owned_by": "library"} for number in range(5000)]}
    world = make(Server({**SERVERS["ollama"], "/v1/models": many}))
    world.refresh()
    assert len(world.server.asked) < 50


def test_of_models_that_come_and_go_no_more_than_some_are_remembered(make: Make) -> None:
    world = make("litellm")
    [example] = SERVERS["litellm"]["/model/info"]["data"]
    for hour in range(4):
        names = [f"model-{hour}-{number}" for number in range(_MAX_CARDS // 2)]
        world.server.answers["/model/info"] = {"data": [{**example, "model_name": name} for name in names]}
        world.now += MAX_AGE
        world.refresh()
    [told] = world.cache.servers.values()
    assert len(told.cards) == _MAX_CARDS
    assert {"model-2-0", "model-3-0"} < told.cards.keys()
