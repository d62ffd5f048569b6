"""What an exchange makes of a request, of its headers and of the settings, as its client sees it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from responses_gateway.catalogue.providers.profile import AnswersProfile, ParametersProfile, Profile
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.settings.settings import Provider, Settings
from responses_gateway.state.secret import AesEnvelopeCodec
from responses_gateway.translate.answer.steering import Steering
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import HostedResult, Source
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.runtime import Runtime
from responses_gateway.turn.steerings import STEERING_HEADER
from unit.exchanges import DONE, events, frame
from unit.machine import RUN, Json, call, check, delta
from unit.world import open_exchange, runtime

SEARCHES = {"search": "searxng", "search_url": "http://127.0.0.1:1"}
SEALED = "reasoning.encrypted_content"
LENGTH = [delta(content="Half a"), delta("length")]
THOUGHT = [delta(reasoning_content="Hm."), delta(content="So."), delta("stop")]


def world(profile: Profile | None = None, **settings: Any) -> Runtime:
    given: Json = {"upstream": "http://127.0.0.1:1/v1", "store": "none", "default_model": "d"}
    if profile is not None:
        given = {"store": "none", "default_model": "p/d", "providers": {"p": Provider(profile=profile, base="p")}}
    return runtime(Settings(**{**given, **settings}))


def opened(around: Runtime | None = None, headers: Mapping[str, str] | None = None, **fields: Any) -> Exchange:
    around, request = around or world(), {"input": "hi", "stream": True, **fields}
    asked = parse_request(dumps(request))
    hosted = asyncio.run(around.hosted.open(asked, "", None, Ledger()))
    one = open_exchange(request, headers or {}, around, hosted)
    one.begin({})
    return one


def answered(*chunks: Json, end: bytes = DONE, **options: Any) -> list[Json]:
    one = opened(**options)
    return events(b"".join(one.feed(frame(chunk)) for chunk in chunks) + one.feed(end) + one.close())


def profile(**fields: Any) -> Profile:
    return Profile(name="p", base_url="http://127.0.0.1:1/v1", **fields)


def test_a_request_without_a_model_tells_which_one_answers() -> None:
    assert answered(*THOUGHT)[0]["response"]["model"] == "d"
    assert answered(*THOUGHT, model="mine")[0]["response"]["model"] == "mine"


def test_the_response_has_its_id_and_the_time_of_the_gateway() -> None:
    response = answered(*THOUGHT)[-1]["response"]
    assert response["id"].startswith("resp_")
    assert response["created_at"] == 2


@pytest.mark.parametrize(("accept", "echoed"), [(["service_tier"], "flex"), ([], "default")])
def test_the_service_tier_that_holds_is_told(accept: list[str], echoed: str) -> None:
    around = world(profile(parameters=ParametersProfile(accept=accept)))
    one = opened(around, service_tier="flex")
    assert one.upstream_request.body.get("service_tier") == ("flex" if accept else None)
    told = events(one.feed(frame(delta("stop", content="a")) + DONE) + one.close())
    assert {event["response"]["service_tier"] for event in told if "response" in event} == {echoed}


@pytest.mark.parametrize(
    ("headers", "codex"),
    [
        ({"originator": "codex_exec"}, True),
        ({"originator": "Codex Desktop"}, True),
        ({"user-agent": "codex_cli_rs/0.169.0"}, True),
        ({"originator": "editor", "x-codex-turn-state": "x"}, True),
        ({"originator": "editor", "user-agent": "not codex"}, False),
        ({"x-not-codex-turn": "x"}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize("terminal", ["auto", "completed", "incomplete"])
def test_an_answer_that_was_cut_off_ends_as_its_client_can_bear(
    headers: Mapping[str, str], codex: bool, terminal: str
) -> None:
    end = answered(*LENGTH, around=world(terminal=terminal), headers=headers)[-1]
    completes = terminal == "completed" or (terminal == "auto" and codex)
    assert end["type"] == ("response.completed" if completes else "response.incomplete")
    assert end["response"]["status"] == "incomplete"
    phases = [item.get("phase") for item in end["response"]["output"]]
    assert any(phases) == codex


@pytest.mark.parametrize("background", [True, False, None])
def test_only_a_response_in_the_background_was_queued(background: bool | None) -> None:
    kinds = [event["type"] for event in answered(*THOUGHT, background=background)]
    assert ("response.queued" in kinds) == bool(background)


def test_reasoning_is_sealed_for_clients_that_ask() -> None:
    sealed, plain = (answered(*THOUGHT, include=include)[-1]["response"]["output"][0] for include in ([SEALED], []))
    assert sealed["type"] == plain["type"] == "reasoning"
    assert sealed["encrypted_content"]
    assert "encrypted_content" not in plain


def test_reasoning_is_sealed_for_its_provider_and_model(tmp_path: Any) -> None:
    secret = tmp_path / "secret"
    around = world(secret_file=secret)
    [item, _] = answered(*THOUGHT, around=around, include=[SEALED])[-1]["response"]["output"]
    route = around.router.resolve(None)
    envelope = item["encrypted_content"]
    assert AesEnvelopeCodec(secret.read_bytes(), f"{route.provider}\0d").open(envelope) is not None
    assert AesEnvelopeCodec(secret.read_bytes(), f"{route.provider}\0other").open(envelope) is None
    again = opened(around, input=[item, {"role": "assistant", "content": "So."}, {"role": "user", "content": "x"}])
    assert again.upstream_request.body["messages"][0]["reasoning_content"] == "Hm."


SUMMARY, TEXT = "response.reasoning_summary_text.delta", "response.reasoning_text.delta"


@pytest.mark.parametrize(
    ("form", "kinds"), [("summary", {SUMMARY}), ("text", {TEXT}), ("both", {SUMMARY, TEXT}), ("none", set())]
)
def test_reasoning_is_shown_as_the_settings_say(form: str, kinds: set[str]) -> None:
    shown = {event["type"] for event in answered(*THOUGHT, around=world(reasoning=form))}
    assert shown & {SUMMARY, TEXT} == kinds


def test_markup_stays_text_where_the_profile_says_so() -> None:
    text = '<tool_call>{"name": "run", "arguments": {"cmd": "ls"}}</tool_call>'
    for heals, kind in ((True, "function_call"), (False, "message")):
        made = answered(delta("stop", content=text), around=world(profile(heal_markup=heals)), tools=[RUN])
        assert [item["type"] for item in made[-1]["response"]["output"]] == [kind]


@pytest.mark.parametrize(("end", "kind"), [("unmarked", "response.completed"), ("marked", "response.failed")])
def test_some_upstreams_just_stop(end: Any, kind: str) -> None:
    around = world(profile(answers=AnswersProfile(end=end)))
    assert answered(delta(content="All."), end=b"", around=around)[-1]["type"] == kind


def test_some_upstreams_repeat_their_reasoning() -> None:
    chunks = [delta(reasoning_content="Hm"), delta(reasoning_content="Hm, so"), delta(content="So."), delta("stop")]
    of: Any
    for of, text in (("snapshots", "Hm, so"), ("increments", "HmHm, so")):
        around = world(profile(answers=AnswersProfile(reasoning_deltas=of)))
        assert answered(*chunks, around=around)[-1]["response"]["output"][0]["content"][0]["text"] == text


@pytest.mark.parametrize("include", [["web_search_call.action.sources"], []])
def test_sources_of_searches_are_told_to_those_who_ask(include: list[str]) -> None:
    one = opened(world(**SEARCHES), tools=[{"type": "web_search"}], include=include)
    one.feed(frame(call(0, "web_search", '{"query": "why"}', "c1")) + frame(delta("tool_calls")) + DONE)
    one.close()
    [search] = one.hosted_calls
    one.add_hosted_result(search, HostedResult("so", [Source("https://a.example/", "A")]))
    assert one.wants_round
    assert (b"https://a.example/" in one.take_waiting()) == bool(include)


@pytest.mark.parametrize(("n", "served"), [(None, True), (1, True), (2, False)])
def test_searches_are_offered_for_one_answer_only(n: int | None, served: bool) -> None:
    one = opened(world(**SEARCHES), tools=[{"type": "web_search"}, RUN], n=n)
    names = [tool["function"]["name"] for tool in one.upstream_request.body["tools"]]
    assert ("web_search" in names) == served


def result(kind: str) -> Json:
    results: Json = {
        "function_call_output": {"type": kind, "call_id": "c", "output": "x"},
        "custom_tool_call_output": {"type": kind, "call_id": "c", "output": "x"},
        "shell_call_output": {"type": kind, "call_id": "c", "output": []},
        "local_shell_call_output": {"type": kind, "id": "c", "call_id": "c", "output": "x"},
        "apply_patch_call_output": {"type": kind, "call_id": "c", "status": "completed"},
        "tool_search_output": {"type": kind, "call_id": "c", "tools": [], "execution": "client", "status": "completed"},
        "message": {"role": "user", "content": "x"},
    }
    found: Json = results[kind]
    return found


@pytest.mark.parametrize(
    ("kind", "may_be_silent"),
    [
        ("function_call_output", True),
        ("custom_tool_call_output", True),
        ("shell_call_output", True),
        ("local_shell_call_output", True),
        ("apply_patch_call_output", True),
        ("tool_search_output", True),
        ("message", False),
    ],
)
def test_behind_the_result_of_any_call_a_model_may_be_silent(kind: str, may_be_silent: bool) -> None:
    one = opened(input=[{"role": "user", "content": "Go."}, result(kind)])
    one.feed(frame(delta("stop")) + DONE)
    one.close()
    assert (one.fault is None) == may_be_silent


@pytest.mark.parametrize("fields", [{"generate": False}, {"prompt_cache_options": {"prewarm": True}}])
@pytest.mark.parametrize("reason", ["length", "stop"])
def test_a_prompt_that_is_read_ahead_gives_an_empty_response(fields: Json, reason: str) -> None:
    one = opened(tools=[RUN], **fields)
    assert one.upstream_request.body["max_tokens"] == 1
    assert one.upstream_request.body["tools"] == opened(tools=[RUN]).upstream_request.body["tools"]
    counts = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
    chunks = [delta(content="Word"), delta(reason), {"choices": [], "usage": counts}]
    sent = events(b"".join(one.feed(frame(chunk)) for chunk in chunks) + one.feed(DONE) + one.close())
    check(sent)
    assert [event["type"] for event in sent] == ["response.created", "response.in_progress", "response.completed"]
    response = sent[-1]["response"]
    assert (response["status"], response["output"], response["incomplete_details"]) == ("completed", [], None)
    assert (response["usage"]["input_tokens"], response["max_output_tokens"]) == (10, None)
    assert not any("generate" in str(entry) or "prompt_cache" in str(entry) for entry in one.ledger.entries)


def test_an_upstream_that_fails_to_read_ahead_says_so() -> None:
    one = opened(generate=False)
    sent = events(one.feed(frame({"error": {"message": "no", "code": "x"}})) + one.fail(GatewayError("no")))
    assert (sent[-1]["type"], sent[-1]["response"]["output"]) == ("response.failed", [])


@pytest.mark.parametrize("fields", [{}, {"generate": False}])
def test_only_an_answer_that_is_shown_is_steered(fields: Json) -> None:
    around, steering = world(), Steering()
    one = opened(around, {STEERING_HEADER: around.steerings.announce(steering)}, **fields)
    steering.wanted = True
    sent = events(b"".join(one.feed(frame(chunk)) for chunk in THOUGHT) + one.feed(DONE) + one.close())
    assert sent[-1]["type"] == ("response.completed" if fields else "response.incomplete")


def test_nobody_steers_by_guessing() -> None:
    steering = Steering()
    around = world()
    around.steerings.announce(steering)
    steering.wanted = True
    one = opened(around, {STEERING_HEADER: "a guess"})
    sent = events(b"".join(one.feed(frame(chunk)) for chunk in THOUGHT) + one.feed(DONE) + one.close())
    assert sent[-1]["type"] == "response.completed"
