"""Whose is what the gateway remembers between requests: nothing of one client reaches another."""

import asyncio
import inspect
from dataclasses import fields
from pathlib import Path

import pytest

import responses_gateway
from responses_gateway.access.rules import Access
from responses_gateway.addon import Gateway
from responses_gateway.inspection.recording.session_memory import SessionMemory
from responses_gateway.protocol.json import dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.settings.settings import Settings
from responses_gateway.state.native_ids import NativeIds
from responses_gateway.state.recorder import Recorder
from responses_gateway.state.secret import AesEnvelopeCodec
from responses_gateway.state.store import Store
from responses_gateway.state.thoughts import ThoughtCache
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import CarriedReasoning, open_reasoning, seal_reasoning
from responses_gateway.turn.listeners import Listeners
from responses_gateway.turn.opening import open_exchange
from responses_gateway.turn.runtime import Runtime
from responses_gateway.turn.sessions import Sessions
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.upstream.learned_repairs import LearnedRepairs
from responses_gateway.upstream.model_lists import ListCache, UpstreamLists
from responses_gateway.upstream.routing import Router
from responses_gateway.upstream.spoken_apis import SpokenApis
from unit.world import runtime

PACKAGE = Path(responses_gateway.__file__).parent
TOOL = {"type": "function", "name": "secret_tool", "parameters": {"type": "object", "properties": {}}}
SEARCH = {"type": "function", "name": "other_tool", "parameters": {"type": "object", "properties": {}}}
LOCKED = Access.of(Settings(access_keys=["key-of-one", "key-of-two"]))
OPEN = Access.of(Settings())
DUMMY = {"authorization": "Bearer any"}


def test_the_owner_is_the_access_key_that_let_the_request_in():
    one = LOCKED.owner({"authorization": "Bearer key-of-one"})
    assert one
    assert LOCKED.owner({**DUMMY, "x-api-key": "key-of-one"}) == one
    assert LOCKED.owner({"authorization": "bearer  key-of-one ", "x-api-key": "whatever"}) == one
    assert LOCKED.owner({**DUMMY, "x-api-key": "key-of-two"}) not in ("", one)
    assert LOCKED.owner(DUMMY) == ""


def test_without_access_keys_clients_are_told_apart_by_what_they_send():
    assert OPEN.owner({}) == ""
    assert OPEN.owner(DUMMY) == OPEN.owner({"x-api-key": "any"}) != ""
    assert OPEN.owner(DUMMY) != OPEN.owner({"authorization": "Bearer other"})


def test_what_was_stored_before_keeps_its_owner():
    assert LOCKED.owner({"authorization": "Bearer key-of-one"}) == OPEN.owner({"authorization": "Bearer key-of-one"})


def open_for(owner, world, **request):
    body = dumps({"model": "m", "input": "hi", "prompt_cache_key": "shared", **request})
    return open_exchange(parse_request(body), {}, world, Recorder(world.state, owner, Ledger()))


def test_a_session_is_its_owners():
    world = runtime(Settings(upstream="http://127.0.0.1:1/v1", store="none"))
    open_for("one", world, tools=[TOOL])
    assert b"secret_tool" not in dumps(open_for("two", world, tools=[SEARCH]).upstream_request.body)
    sessions = Sessions()
    assert sessions.get("one", "s") is sessions.get("one", "s")
    assert sessions.get("one", "s") is not sessions.get("two", "s")


def test_what_one_taught_is_not_another_ones_lesson():
    learned = LearnedRepairs(None, lambda: 0.0)
    learned.add("one", "http://u", "m", "drop:seed")
    assert learned.repairs("one", "http://u", "m") == ["drop:seed"]
    assert learned.repairs("two", "http://u", "m") == []
    assert learned.everybodys("http://u", "m") == ["drop:seed"]


def test_a_list_that_was_got_with_a_clients_key_is_the_clients(monkeypatch):
    async def fetch(http, upstream, headers):
        return [{"id": f"model-of-{headers['authorization']}"}]

    monkeypatch.setattr("responses_gateway.upstream.model_lists.fetch_models", fetch)
    router = Router(Settings(), "http://127.0.0.1:1")
    lists = UpstreamLists(router, ListCache(), HttpClient())

    async def run():
        await lists.refresh("one", {"authorization": "one"})
        await lists.refresh("two", {"authorization": "two"})

    asyncio.run(run())
    assert router.of("one").listed("openai-compatible") == ["model-of-one"]
    assert router.of("two").listed("openai-compatible") == ["model-of-two"]
    assert router.listed("openai-compatible") is None


def test_lists_that_were_got_with_the_gateways_key_are_everybodys():
    router = Router(Settings(upstream="http://127.0.0.1:1/v1"))
    assert router.of("one") is router


def test_an_envelope_opens_for_its_owner_only():
    secret, thought = bytes(range(32)), CarriedReasoning("Hm.")
    envelope = seal_reasoning(thought, AesEnvelopeCodec(secret, "p", "one"))
    assert open_reasoning(envelope, AesEnvelopeCodec(secret, "p", "one")) == thought
    assert open_reasoning(envelope, AesEnvelopeCodec(secret, "p", "two")) is None
    before = seal_reasoning(thought, AesEnvelopeCodec(secret, "p"))
    assert open_reasoning(before, AesEnvelopeCodec(secret, "p", "one")) == thought


@pytest.mark.parametrize("locked", [True, False])
def test_envelopes_name_an_owner_who_is_known_by_an_access_key(tmp_path, locked):
    state = runtime(Settings(store="none", secret_file=tmp_path / "secret")).state
    envelope = Recorder(state, "one", Ledger(), known_owner=locked).envelopes("p").seal({"a": 1})
    other = Recorder(state, "two", Ledger(), known_owner=locked).envelopes("p")
    assert other.open(envelope) == (None if locked else {"a": 1})


# What is remembered where: a new place has to be thought about, and put down here. ------------------------------------

REMEMBERS = {
    Sessions: {"get"},
    SessionMemory: {"get"},
    LearnedRepairs: {"repairs", "add"},
    ThoughtCache: {"learn", "restore"},
    NativeIds: {"remember", "provider", "is_anothers"},
    SpokenApis: {"api", "note_chat"},
    Store: {
        *("get", "history", "items", "delete", "renew", "find_replay", "put_conversation", "get_conversation"),
        *("delete_conversation", "conversation_items", "append_items", "delete_item"),
        *("add_events", "live_events", "put_note", "note", "is_anothers"),
    },
}
"""What clients' requests put into and get out of these, first of all by owner."""

OTHERWISE = {
    LearnedRepairs: {"everybodys"},  # for the operator, who sees all turns
    Store: {"put", "close"},  # a Record has its owner
}


@pytest.mark.parametrize("memory", REMEMBERS)
def test_what_is_remembered_names_its_owner(memory):
    methods = {name for name, _ in inspect.getmembers(memory, inspect.isfunction) if not name.startswith("_")}
    assert methods == REMEMBERS[memory] | OTHERWISE.get(memory, set())
    for name in REMEMBERS[memory]:
        assert list(inspect.signature(getattr(memory, name)).parameters)[1] == "owner"


LASTING = {
    "_listeners": "see below",
    "_turns": "by flow",
    "_relays": "by flow",
    "_forwarded": "by flow",
    "_settings": "the operator's",
    "_access": "the operator's",
    "_access_control": "by flow",
    "_config_watch": "the operator's",
    "_environ": "the operator's",
    "_apis": "the operator's",
    "_inner_listener": "passes name the owner",
    "_arrivals": "by flow",
    "_sockets": "by connection",
    "_body_memory": "by flow",
    "_is_running": "the process's",
    "_ending": "the process's",
    "_inspector": "the operator's",
    "_socket_fast_paths": "by connection",
    "_replays": "the operator's",
    "addons": "see above",
}
"""Everything of the gateway that outlives a request, and why nothing of one client reaches another through it."""

LASTING_LISTENERS = {
    "_target_is_fallback": "a constant",
    "_watch": "the operator's",
    "_sessions": "names the owner",
    "_lists": "what upstreams told the gateway itself",
    "_http": "keeps nothing",
    "_apis": "names the owner",
    "_jobs": "each has its owner",
    "learned_repairs": "names the owner",
    "steerings": "by a secret of one request",
    "_settings": "the operator's",
    "_state": "names the owner",
    "_hosted": "the operator's",
    "_health": "UpstreamKey names the owner",
    "_by_mode": "see below",
}

LASTING_RUNTIME = {
    "settings": "the operator's",
    "router": "`of` gives the owner's",
    "sessions": "names the owner",
    "state": "names the owner",
    "jobs": "each has its owner",
    "lists": "taught to the owner's router",
    "http": "keeps nothing",
    "apis": "names the owner",
    "new_id": "a function",
    "clock": "a function",
    "watch": "the operator's",
    "hosted": "the operator's",
    "steerings": "by a secret of one request",
}

LASTING_SERVICES = {
    "settings": "the operator's",
    "router": "`of` gives the owner's",
    "learned_repairs": "names the owner",
    "fetch_models": "a function",
    "sleep": "a function",
    "jitter": "a function",
    "now": "a function",
    "health": "UpstreamKey names the owner",
    "answered": "a function",
    "telling_no_models": "names the owner",
}


def test_nothing_else_lasts():
    assert set(vars(Gateway())) == set(LASTING)
    assert set(vars(Listeners(target_is_fallback=False, watch=None))) == set(LASTING_LISTENERS)
    assert {field.name for field in fields(Runtime)} == set(LASTING_RUNTIME)
    assert {field.name for field in fields(TurnServices)} == set(LASTING_SERVICES)


def test_only_access_says_who_the_owner_is():
    users = {
        path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if "owner_of(" in path.read_text("utf-8")
    }
    assert users == {"access/rules.py", "access/owner.py"}


def test_turns_ask_the_owners_router():
    """`resolve`, `models` and `listed` of the shared router know only what everybody may know."""
    for path in (*PACKAGE.glob("endpoints/*.py"), *PACKAGE.glob("turn/**/*.py")):
        for method in ("resolve", "models", "listed", "learn"):
            assert f"runtime.router.{method}(" not in path.read_text("utf-8"), path
            assert f"services.router.{method}(" not in path.read_text("utf-8"), path
