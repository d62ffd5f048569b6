"""How often a turn is tried again and repaired, and how much of a refusal is kept."""

import gzip
import json
from typing import Any

import pytest
from mitmproxy import http

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.translate.repair.request_healing import ROUNDS
from responses_gateway.turn.error_response import error_response
from responses_gateway.turn.recovery.fault import RoundFault
from responses_gateway.upstream.learned_repairs import LearnedRepairs
from unit.exchanges import DONE, events, frame
from unit.machine import delta
from unit.turn.test_rounds import COMPLETION, UPSTREAM, World

PARAMETERS: dict[str, Any] = {"temperature": 0.5, "top_p": 0.5, "seed": 7, "presence_penalty": 0.5}


def refused(world: World, name: str) -> bool:
    return world.refuse(400, f"Unsupported parameter: '{name}'")


def test_a_request_is_repaired_so_often_and_no_more() -> None:
    world = World(**PARAMETERS)
    assert [refused(world, name) for name in PARAMETERS] == [True] * ROUNDS + [False]
    body = world.exchange.upstream_request.body
    assert [name for name in PARAMETERS if name in body] == ["presence_penalty"]


def test_what_was_repaired_before_does_not_count() -> None:
    learnt = LearnedRepairs(None, lambda: 1.0)
    for name in PARAMETERS:
        learnt.add("", UPSTREAM, "m", f"drop:{name}")
    world = World(**PARAMETERS, frequency_penalty=0.5, learnt=learnt)
    assert "temperature" not in world.exchange.upstream_request.body
    assert refused(world, "frequency_penalty")
    world.stream(delta("stop", content="a"))
    assert "drop:frequency_penalty" in learnt.repairs("", UPSTREAM, "m")


def test_a_repair_is_remembered_once_and_for_this_model() -> None:
    world = World(temperature=0.5)
    assert refused(world, "temperature")
    world.stream(delta(content="a"), delta(content="b"), delta("stop"))
    assert [note for note in world.noted() if note.startswith("learnt")] == [
        f"learnt temperature: kept for m at {UPSTREAM}"
    ]
    assert world.learnt.repairs("", UPSTREAM, "m") == ["drop:temperature"]
    assert world.learnt.repairs("", UPSTREAM, "other") == []
    assert world.learnt.repairs("somebody", UPSTREAM, "m") == []


def test_the_other_model_gets_the_whole_request_and_its_own_repairs() -> None:
    learnt = LearnedRepairs(None, lambda: 1.0)
    learnt.add("", UPSTREAM, "other", "drop:top_p")
    world = World(temperature=0.5, top_p=0.5, settings={"fallback": "other", "retries": 0}, learnt=learnt)
    assert refused(world, "temperature")
    assert world.refuse(503, "busy")
    body = world.exchange.upstream_request.body
    assert (body["model"], body.get("temperature"), body.get("top_p")) == ("other", 0.5, None)
    assert refused(world, "temperature")
    world.stream(delta("stop", content="a"))
    assert learnt.repairs("", UPSTREAM, "m") == []
    assert set(learnt.repairs("", UPSTREAM, "other")) == {"drop:top_p", "drop:temperature"}


@pytest.mark.parametrize("status", [400, 415, 422, 500, 501])
def test_these_refusals_are_looked_at_for_repairs(status: int) -> None:
    world = World(temperature=0.5)
    assert world.refuse(status, "Unsupported parameter: 'temperature'")
    assert world.waits == []


@pytest.mark.parametrize("status", [401, 402, 403, 404, 413, 429])
def test_other_refusals_are_not(status: int) -> None:
    assert not World(temperature=0.5).refuse(status, "Unsupported parameter: 'temperature'")


@pytest.mark.parametrize(
    "code", ["context_length_exceeded", "insufficient_quota", "invalid_api_key", "model_not_found", "not_found"]
)
def test_no_repair_helps_against_some_errors(code: str) -> None:
    world = World(temperature=0.5)
    assert not world.refuse(400, "Unsupported parameter: 'temperature'", code=code)
    assert not any(note.startswith("repaired") for note in world.noted())


LONG = "Unsupported parameter: 'temperature'. " + "x" * 300


def test_long_refusals_are_cut_in_the_ledger() -> None:
    repaired = World(temperature=0.5)
    assert repaired.refuse(400, LONG)
    retried = World()
    assert retried.refuse(503, LONG)
    elsewhere = World(settings={"fallback": "other", "retries": 0})
    assert elsewhere.refuse(503, LONG)
    for world, status in ((repaired, 400), (retried, 503), (elsewhere, 503)):
        [note] = world.noted()
        told = f"openai-compatible answered HTTP {status}: {LONG}"
        assert note.endswith(f": {told[:200]}")


@pytest.mark.parametrize("code", ["invalid_api_key", "model_not_found", "not_found"])
def test_what_one_upstream_lacks_another_one_may_have(code: str) -> None:
    assert World(settings={"fallback": "other", "retries": 0}).refuse(400, "no", code=code)


def test_where_one_upstream_cannot_be_reached_another_one_can() -> None:
    world = World(settings={"fallback": "other"})
    assert world.fail("refused", "Certificate verify failed: x")
    assert world.exchange.upstream_request.body["model"] == "other"
    assert world.waits == []


def test_the_fallback_takes_over_once() -> None:
    world = World(settings={"fallback": "other", "retries": 0})
    assert [world.refuse(401, "no"), world.refuse(401, "no")] == [True, False]
    assert [note.partition(":")[0] for note in world.noted()] == ["changed model"]


@pytest.mark.parametrize(("wait", "again"), [("5", True), ("5.01", False)])
def test_the_longest_wait_that_an_upstream_may_ask_for(wait: str, again: bool) -> None:
    assert World().refuse(503, "busy", {"retry-after": wait}) is again


@pytest.mark.parametrize(("budget", "again"), [(0.5, True), (0.49, False)])
def test_a_wait_may_use_up_the_budget(budget: float, again: bool) -> None:
    assert World(settings={"retry_budget": budget}).refuse(503, "busy") is again


@pytest.mark.parametrize(("retries", "rounds"), [(0, 0), (1, 1), (4, 4)])
def test_retries_are_counted(retries: int, rounds: int) -> None:
    world = World(settings={"retries": retries, "retry_budget": 100})
    assert [world.refuse(503, "busy") for _ in range(rounds + 1)] == [True] * rounds + [False]
    assert world.waits == [0.5 * 2**number for number in range(rounds)]


def test_a_limit_in_an_answer_is_waited_for_when_its_end_is_known() -> None:
    for message, again in (("Slow down. Try again in 2s.", True), ("Slow down.", False)):
        world = World()
        world.stream({"error": {"message": message, "code": "rate_limit_exceeded"}})
        assert world.goes_on() is again
        assert world.waits == ([2.0] if again else [])


def test_an_error_in_an_answer_may_be_repaired() -> None:
    world = World(temperature=0.5)
    world.stream({"error": {"message": "Unsupported parameter: 'temperature'", "code": 400}})
    assert world.goes_on()
    assert "temperature" not in world.exchange.upstream_request.body
    overloaded = World(temperature=0.5)
    overloaded.stream({"error": {"message": "Unsupported parameter: 'temperature'", "code": 503}})
    assert overloaded.goes_on()
    assert "temperature" in overloaded.exchange.upstream_request.body


def test_the_evidence_in_a_long_refusal_is_bounded() -> None:
    error = GatewayError("no", 400)
    body = b"x" * 65535 + b"yz"
    assert RoundFault.of_refusal(error, 400, {}, body).evidence == "x" * 65535 + "y"
    assert RoundFault.of_refusal(error, 403, {}, body).evidence == ""
    assert RoundFault.of_refusal(error, 400, {}, b"\xff").evidence == "\ufffd"


def test_models_are_named_by_likeness_and_up_to_ten() -> None:
    names = ["zzz", "m-large", *(f"x{number}" for number in range(8))]
    world = World(models=[{"id": name} for name in names])
    assert not world.refuse(404, "The model 'm' does not exist.. ", code="model_not_found")
    message = world.error()[1]["message"]
    assert message.endswith(f": The model 'm' does not exist. openai-compatible has {', '.join(names)}.")
    near = World(model="m-larg", models=[{"id": name} for name in [*names[::-1], "a"]])
    assert not near.refuse(404, "no such model", code="model_not_found")
    assert near.error()[1]["message"].endswith("has m-large, x7, x6, x5, x4, x3, x2, x1, x0, zzz and 1 more.")


def test_a_base_url_may_be_wrong_but_not_for_a_missing_model() -> None:
    missing, model = World(), World()
    assert not missing.refuse(404, "not here. ")
    assert missing.error()[1]["message"].endswith(f"not here. Is the base URL {UPSTREAM} right?")
    assert not model.refuse(404, "The model 'm' does not exist.", code="model_not_found")
    assert "base URL" not in model.error()[1]["message"]


def test_a_list_that_is_known_is_not_asked_for() -> None:
    world = World(models=[{"id": "unused"}])
    router = world.means.router
    router.learn(router.resolve("m").provider, [{"id": "known"}])
    assert not world.refuse(404, "The model 'm' does not exist.", code="model_not_found")
    assert world.lists_asked == 0
    assert world.error()[1]["message"].endswith(" has known.")


def test_a_list_that_was_empty_is_asked_for_again() -> None:
    world = World(models=[{"id": "loaded since"}])
    router = world.means.router
    for times in (1, 2):
        router.learn(router.resolve("m").provider, [])
        assert not world.refuse(404, "The model 'm' does not exist.", code="model_not_found")
        assert world.lists_asked == times
    assert world.error()[1]["message"].endswith(" has loaded since.")


@pytest.mark.parametrize(("told", "sent"), [("6", "6"), ("6.4", "6"), ("6.6", "7"), ("100", "100")])
def test_a_told_wait_is_sent_in_whole_seconds(told: str, sent: str) -> None:
    world = World()
    assert not world.refuse(429, "slow down", {"retry-after": told})
    assert world.turn.answer().headers["retry-after"] == sent


@pytest.mark.parametrize("told", [0.0, 0.4, 1.4])
def test_a_short_wait_is_a_second(told: float) -> None:
    assert error_response(GatewayError("slow down", 429, retry_after=told)).headers["retry-after"] == "1"


GZIP = {"content_encoding": "gzip"}


def test_a_packed_answer_is_unpacked() -> None:
    whole = World(stream=False)
    assert not whole.turn.begin(200, http.Headers(**GZIP))
    whole.turn.take(gzip.compress(json.dumps(COMPLETION).encode()))
    assert json.loads(whole.turn.answer().content or b"")["output"][0]["content"][0]["text"] == "hello"
    streamed = World()
    assert streamed.turn.begin(200, http.Headers(**GZIP))
    chunks = frame(delta(content="hello")) + frame(delta("stop")) + DONE
    sent = streamed.turn.feed(gzip.compress(chunks)) + streamed.turn.finish()
    assert events(sent)[-1]["response"]["output"][0]["content"][0]["text"] == "hello"
    refused = World()
    assert not refused.turn.begin(401, http.Headers(**GZIP))
    refused.turn.take(gzip.compress(b'{"error": {"message": "wrong key"}}'))
    assert "wrong key" in refused.error()[1]["message"]


def test_an_answer_that_cannot_be_unpacked_is_an_error() -> None:
    whole = World(stream=False)
    assert not whole.turn.begin(200, http.Headers(**GZIP))
    whole.turn.take(b"no gzip")
    assert not whole.goes_on()
    status, error = whole.error()
    assert (status, error["code"], error["type"]) == (502, "server_error", "server_error")
    assert error["message"].startswith("The upstream's answer cannot be read: ")
    streamed = World()
    assert streamed.turn.begin(200, http.Headers(**GZIP))
    error = events(streamed.turn.feed(b"no gzip"))[-1]["response"]["error"]
    assert error["code"] == "server_error"
    assert error["message"].startswith("The upstream's answer cannot be read: ")
    refused = World()
    assert not refused.turn.begin(401, http.Headers(**GZIP))
    refused.turn.take(b"no gzip")
    assert refused.error()[0] == 401


def test_an_answer_flows_until_its_end_has_come() -> None:
    world = World()
    assert world.turn.begin(200, http.Headers())
    assert world.turn.flows
    world.turn.feed(frame(delta(content="a")))
    assert world.turn.flows
    world.turn.feed(frame(delta("stop")))
    assert not world.turn.flows
    faulty = World()
    faulty.turn.begin(200, http.Headers())
    faulty.turn.feed(frame({"error": {"message": "no", "code": 503}}))
    assert faulty.turn.round_over
    assert not faulty.turn.flows


def test_an_answer_ends_with_its_token_counts() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
    for end in ([delta("stop"), usage], [usage]):
        world = World()
        assert world.turn.begin(200, http.Headers())
        sent = b"".join(world.turn.feed(frame(chunk)) for chunk in (delta(content="a"), *end))
        assert not world.turn.ended
        sent += world.turn.feed(DONE)
        assert world.turn.ended
        assert events(sent)[-1]["type"] == "response.completed"
        assert world.turn.finish() == b""


def test_a_stream_is_sent_in_chunks_without_a_length() -> None:
    head = World().turn.head()
    assert head.headers["transfer-encoding"] == "chunked"
    assert head.data.content == b""


def test_bytes_before_the_head_and_behind_the_end_are_nothing() -> None:
    early = World()
    assert [one.split(b"\n")[0] for one in early.turn.feed(frame(delta(content="a"))).split(b"\n\n") if one] == [
        b"event: response.created",
        b"event: response.in_progress",
    ]
    assert early.turn.finish() == b""
    assert not early.turn.ended
    late = World()
    late.stream(delta(content="a"), delta("stop"))
    assert late.turn.feed(frame(delta(content="b"))) == late.turn.finish() == late.turn.heartbeat() == b""


def test_a_fault_stays_the_only_thing_of_its_round() -> None:
    world = World()
    assert world.turn.begin(200, http.Headers())
    busy = frame({"error": {"message": "busy", "code": 503}})
    shown = world.turn.feed(busy + frame(delta(content="late")))
    shown += world.turn.feed(frame(delta(content="later")) + DONE) + world.turn.finish()
    assert b"late" not in shown
    assert world.goes_on()
    sent = shown + world.stream(delta(content="Now."), delta("stop"))
    kinds = [event["type"] for event in events(sent)]
    assert kinds.count("response.created") == 1
    assert events(sent)[-1]["response"]["output"][0]["content"][0]["text"] == "Now."
