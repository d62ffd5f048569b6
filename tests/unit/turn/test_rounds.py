"""What becomes of a turn whose upstream refuses, fails or says nothing: which further rounds there are, and the end."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from mitmproxy import http

from responses_gateway.hosted.calls import NO_CALLS, HostedCalls
from responses_gateway.hosted.interface import Declaration, DeclaredTool, ToolLimits
from responses_gateway.hosted.web_search import DeclaredSearch
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.proxy.contract import Failure
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import HostedCall, HostedResult, Source
from responses_gateway.turn.served_turn import ServedTurn
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.health import FAULTS, PERIOD, UpstreamHealth
from responses_gateway.upstream.learned_repairs import LearnedRepairs
from responses_gateway.upstream.routing import Route
from unit.exchanges import DONE, events, frame
from unit.machine import call, delta
from unit.world import open_exchange, runtime

UPSTREAM = "http://127.0.0.1:1/v1"
CODEX = {"originator": "codex_cli_rs"}
COMPLETION = {"choices": [{"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}]}


class World:
    """One turn, and what it waits for and asks for."""

    def __init__(
        self,
        headers: Mapping[str, str] | None = None,
        learnt: LearnedRepairs | None = None,
        health: UpstreamHealth | None = None,
        **fields: Any,
    ) -> None:
        settings = fields.pop("settings", {})
        self.models: list[JsonObject] | None = fields.pop("models", None)
        searches: Searches | None = fields.pop("searches", None)
        request = {"model": "m", "input": "hi", "stream": True, **fields}
        around = runtime(Settings(**{"upstream": UPSTREAM, "store": "none", **settings}))
        self.waits: list[float] = []
        self.lists_asked = 0
        self.time = 100.0
        self.learnt = learnt or LearnedRepairs(None, lambda: 1.0)
        self.health = health or UpstreamHealth(around.settings.upstream_rest, lambda: self.time)
        self.means = TurnServices(
            around.settings,
            around.router,
            self.learnt,
            self._fetch_models,
            sleep=self._sleep,
            jitter=lambda: 0.5,
            now=lambda: self.time,
            health=self.health,
        )
        hosted = HostedCalls([searches], Ledger(), fields.get("max_tool_calls")) if searches else NO_CALLS
        self.exchange = open_exchange(request, headers or {}, around, hosted)
        self.turn = ServedTurn(self.exchange, headers or {}, self.means)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds

    async def _fetch_models(self, route: Route, headers: Mapping[str, str]) -> list[JsonObject] | None:
        self.lists_asked += 1
        return self.models

    def refuse(self, status: int, message: str, headers: Mapping[str, str] | None = None, **error: Any) -> bool:
        """The upstream refuses; whether there is another round."""
        assert not self.turn.begin(status, http.Headers(**{k.replace("-", "_"): v for k, v in (headers or {}).items()}))
        self.turn.take(json.dumps({"error": {"message": message, **error}}).encode())
        return self.goes_on()

    def fail(self, cause: Any, text: str = "", seconds: float = 0.0) -> bool:
        self.turn.fail(Failure(cause, text, seconds))
        return self.goes_on()

    def goes_on(self) -> bool:
        return asyncio.run(self.turn.next_round())

    def stream(self, *chunks: Any) -> bytes:
        """The upstream answers with these chunks, and ends."""
        assert self.turn.begin(200, http.Headers())
        sent = b"".join(self.turn.feed(frame(chunk)) for chunk in chunks)
        return sent + self.turn.feed(DONE) + self.turn.finish()

    def error(self) -> tuple[int, JsonObject]:
        """The answer as an error: its status, and what is in it."""
        answer = self.turn.answer()
        return answer.status_code, json.loads(answer.content or b"")["error"]

    def noted(self) -> list[str]:
        return [str(entry) for entry in self.exchange.ledger.entries]


@pytest.mark.parametrize("status", [408, 425, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again_after_growing_waits(status: int) -> None:
    world = World()
    assert world.refuse(status, "busy")
    assert world.refuse(status, "busy")
    assert not world.refuse(status, "busy")
    assert world.waits == [0.5, 1.0]
    assert [note.partition(": ")[0] for note in world.noted()] == ["repaired output (×2)"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 500])
def test_what_stays_is_not_tried_again(status: int) -> None:
    world = World()
    assert not world.refuse(status, "no")
    assert world.waits == []


def test_retries_can_be_switched_off() -> None:
    assert not World(settings={"retries": 0}).refuse(503, "busy")


def test_waiting_has_a_budget() -> None:
    world = World(settings={"retries": 9, "retry_budget": 1.5})
    assert world.refuse(503, "busy")
    assert world.refuse(503, "busy")
    assert not world.refuse(503, "busy")
    assert world.waits == [0.5, 1.0]


def test_the_time_of_earlier_rounds_counts_for_the_budget() -> None:
    world = World(settings={"retries": 9, "retry_budget": 10})
    assert world.refuse(503, "busy")
    world.time += 9
    assert not world.refuse(503, "busy")


@pytest.mark.parametrize(("seconds", "again"), [("2", True), ("5", True), ("6", False)])
def test_a_wait_that_the_upstream_names_is_kept_if_it_is_short(seconds: str, again: bool) -> None:
    world = World()
    assert world.refuse(503, "busy", {"retry-after": seconds}) == again
    assert world.waits == ([float(seconds)] if again else [])


def test_a_rate_limit_is_waited_for_when_its_end_is_known() -> None:
    assert World().refuse(429, "slow down", {"retry-after": "1"})
    assert not World().refuse(429, "slow down")


def test_a_told_wait_reaches_the_client() -> None:
    world = World()
    assert not world.refuse(429, "slow down", {"retry-after": "30"})
    answer = world.turn.answer()
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "30"


@pytest.mark.parametrize(("cause", "again"), [("refused", True), ("connect_timeout", True), ("broken", True)])
def test_a_broken_connection_is_tried_again(cause: str, again: bool) -> None:
    assert World().fail(cause, "it broke", 3) == again


@pytest.mark.parametrize("cause", ["first_byte_timeout", "idle_timeout", "queue_timeout", "too_large"])
def test_silence_is_not_tried_again(cause: str) -> None:
    assert not World().fail(cause, "x", 3)


@pytest.mark.parametrize("cause", ["turn_timeout", "shutdown", "crashed"])
def test_after_the_end_nothing_else_is_tried(cause: str) -> None:
    assert not World(settings={"fallback": "other"}).fail(cause, "x", 3)


@pytest.mark.parametrize(
    ("cause", "status", "says"),
    [
        ("refused", 502, "Cannot connect to"),
        ("connect_timeout", 504, "did not accept a connection within 7 s (gateway_connect_timeout)"),
        ("first_byte_timeout", 504, "did not begin to answer within 7 s (gateway_first_byte_timeout)"),
        ("idle_timeout", 504, "sent no content for 7 s (gateway_idle_timeout)"),
        ("queue_timeout", 504, "nothing but keep-alives for 7 s (gateway_queue_timeout)"),
        ("turn_timeout", 504, "is not over after 7 s (gateway_turn_timeout)"),
        ("broken", 502, "closed the connection before its answer was complete: why"),
        ("too_large", 502, "is too large: why"),
        ("shutdown", 503, "shutting down"),
        ("crashed", 500, ""),
    ],
)
def test_each_failure_is_explained(cause: str, status: int, says: str) -> None:
    world = World(settings={"retries": 0})
    assert not world.fail(cause, "why.", 7.0)
    found, error = world.error()
    assert found == status
    assert says in error["message"]
    assert error["type"] == "server_error"
    if status == 504:
        assert UPSTREAM in error["message"]


@pytest.mark.parametrize("words", ["Certificate verify failed: x", "The server does not speak TLS"])
def test_an_address_that_is_wrong_is_not_tried_again_and_explained(words: str) -> None:
    world = World()
    assert not world.fail("refused", words)
    status, error = world.error()
    assert (status, error["code"]) == (400, "upstream_unreachable")
    assert "ssl_verify_upstream_trusted_ca" in error["message"] or "https://" in error["message"]


def test_a_refused_parameter_is_left_out_and_that_is_remembered() -> None:
    world = World(temperature=0.5)
    assert world.exchange.upstream_request.body["temperature"] == 0.5
    assert world.refuse(400, "Unsupported parameter: 'temperature'", param="temperature")
    assert "temperature" not in world.exchange.upstream_request.body
    assert any(note.startswith("repaired") and "temperature" in note for note in world.noted())
    assert world.waits == []
    assert not any(note.startswith("learnt") for note in world.noted())
    world.stream(delta(content="hello"), delta("stop"))
    assert any(note.startswith("learnt") and "kept for m at" in note for note in world.noted())
    after = World(temperature=0.5, learnt=world.learnt)
    assert "temperature" not in after.exchange.upstream_request.body
    assert any("refused it before" in note for note in after.noted())


def test_a_repair_that_did_not_help_is_not_remembered() -> None:
    world = World(temperature=0.5)
    assert world.refuse(400, "Unsupported parameter: 'temperature'", param="temperature")
    assert not world.refuse(400, "Something else is wrong")
    assert World(temperature=0.5, learnt=world.learnt).exchange.upstream_request.body["temperature"] == 0.5


def test_a_whole_answer_confirms_a_repair_too() -> None:
    world = World(temperature=0.5, stream=False)
    assert world.refuse(400, "Unsupported parameter: 'temperature'", param="temperature")
    assert not world.turn.begin(200, http.Headers())
    world.turn.take(json.dumps(COMPLETION).encode())
    assert "temperature" not in World(temperature=0.5, learnt=world.learnt).exchange.upstream_request.body


def test_a_permanent_refusal_is_not_repaired() -> None:
    world = World(temperature=0.5)
    assert not world.refuse(400, "Unsupported parameter: 'temperature'", code="invalid_api_key")
    assert world.exchange.upstream_request.body["temperature"] == 0.5


def test_an_empty_answer_is_asked_for_again_once_and_at_once() -> None:
    world = World()
    world.stream(delta("stop"))
    assert world.turn.round_over
    assert world.goes_on()
    assert world.waits == [0.0]
    world.stream(delta("stop"))
    assert not world.turn.round_over
    assert not world.goes_on()


def test_an_error_in_the_stream_before_anything_was_shown() -> None:
    world = World()
    world.stream({"error": {"message": "overloaded", "code": 503}})
    assert world.goes_on()
    broken = World()
    broken.stream(delta(content="a"), {"error": {"message": "overloaded", "code": 503}})
    assert not broken.goes_on()


FALLBACK = {"fallback": "other", "retries": 0}


def test_another_model_takes_over() -> None:
    world = World(settings=FALLBACK)
    assert world.refuse(503, "busy")
    assert world.exchange.upstream_request.body["model"] == "other"
    assert "changed model: m → other: " in "\n".join(world.noted())
    assert not world.refuse(503, "busy")
    assert world.error()[0] == 503


def test_the_other_model_has_retries_of_its_own() -> None:
    world = World(settings={"fallback": "other", "retries": 1})
    assert [world.refuse(503, "busy") for _ in range(4)] == [True, True, True, False]
    assert world.waits == [0.5, 0.5]


def test_the_same_model_is_no_fallback() -> None:
    assert not World(settings={"fallback": "m", "retries": 0}).refuse(503, "busy")


DOWN = {"retries": 2 * FAULTS, "retry_budget": 1000}


def down(**fields: Any) -> World:
    """A turn after which the upstream rests."""
    world = World(settings=DOWN, **fields)
    while world.refuse(503, "overloaded"):
        pass
    assert len(world.waits) < 2 * FAULTS
    assert sum(world.waits) >= PERIOD
    return world


def test_an_upstream_that_keeps_failing_is_named_with_what_it_said_and_since_when() -> None:
    world = down()
    status, error = world.error()
    assert status == 503
    clock = r"\d\d:\d\d:\d\d"
    assert re.search(rf"{UPSTREAM}\) has failed \d times in a row since {clock}, .* before {clock}\.", error["message"])
    assert error["message"].endswith("Last: openai-compatible answered HTTP 503: overloaded")
    assert world.turn.answer().headers["retry-after"] == "10"
    with pytest.raises(GatewayError, match="503: overloaded") as refused:
        World(health=world.health)
    assert (refused.value.status, refused.value.retry_after) == (503, 10)


def test_codex_stops_asking_an_upstream_that_keeps_failing() -> None:
    world = down(headers=CODEX)
    status, error = world.error()
    assert (status, error["code"]) == (400, "invalid_prompt")
    with pytest.raises(GatewayError) as refused:
        World(CODEX, health=world.health)
    assert (refused.value.status, refused.value.code) == (400, "invalid_prompt")
    with pytest.raises(GatewayError) as refused:
        World(CODEX, health=world.health, stream=False)
    assert refused.value.status == 503


def test_a_server_that_breaks_on_every_request_rests_and_is_not_repeated_here() -> None:
    first = World()
    for _ in range(FAULTS):
        world = World(health=first.health)
        assert not world.refuse(500, "a bug")
        assert world.waits == []
        first.time += PERIOD
    with pytest.raises(GatewayError, match="500: a bug"):
        World(health=first.health)


def test_after_its_rest_an_upstream_is_asked_again() -> None:
    world = down()
    world.time += 10
    probe = World(health=world.health)
    assert probe.stream(delta("stop", content="Back."))
    assert World(health=world.health).stream(delta("stop", content="Still."))


@pytest.mark.parametrize("status", [400, 401, 404, 429])
def test_a_probe_that_is_refused_shows_that_the_upstream_is_there(status: int) -> None:
    world = down()
    world.time += 10
    assert not World(health=world.health).refuse(status, "no", code="x")
    assert World(health=world.health).stream(delta("stop", content="Back."))


def test_waits_go_on_growing_from_turn_to_turn() -> None:
    world = World()
    while world.refuse(503, "busy"):
        pass
    again = World(health=world.health)
    while again.refuse(503, "busy"):
        pass
    assert (world.waits, again.waits) == ([0.5, 1.0], [4.0, 4.0])


def test_what_only_the_request_is_to_blame_for_lets_no_upstream_rest() -> None:
    world = World()
    for status in (400, 401, 404, 429, 500) * FAULTS:
        world.refuse(status, "no")
        world.time += PERIOD
    assert World(health=world.health).waits == []


def test_the_other_model_takes_over_at_once_while_an_upstream_rests() -> None:
    world = World(settings=FALLBACK)
    assert world.refuse(503, "busy")
    later = World(settings=FALLBACK, health=world.health)
    assert later.exchange.upstream_request.body["model"] == "other"
    assert later.turn.request.url == f"{UPSTREAM}/chat/completions"
    assert json.loads(later.turn.request.content or b"")["model"] == "other"
    assert "changed model: m → other: " in "\n".join(later.noted())
    assert later.stream(delta("stop", content="Hello."))
    world.time += 10
    assert World(settings=FALLBACK, health=world.health).exchange.upstream_request.body["model"] == "m"


def test_another_model_that_cannot_take_the_request_takes_nothing_over() -> None:
    small = {**FALLBACK, "model_capabilities": {"other": {"context_window": 10}}}
    world = World(settings=small, input="word " * 1000, truncation="disabled")
    assert not world.refuse(503, "busy")
    assert world.exchange.upstream_request.body["model"] == "m"
    assert not world.noted()


def test_when_the_other_model_rests_too_nobody_is_asked() -> None:
    world = World(settings={**FALLBACK, **DOWN, "upstream_rest": 100})
    while world.refuse(503, "busy"):
        pass
    assert json.loads(world.turn.request.content or b"")["model"] == "other"
    with pytest.raises(GatewayError, match="Last: "):
        World(settings=FALLBACK, health=world.health)


@pytest.mark.parametrize(
    ("status", "code", "elsewhere"),
    [(400, "invalid_value", False), (400, "context_length_exceeded", False), (401, "x", True), (404, "x", True)],
)
def test_a_wrong_request_is_wrong_elsewhere_too(status: int, code: str, elsewhere: bool) -> None:
    assert World(settings=FALLBACK).refuse(status, "no", code=code) == elsewhere


def test_nothing_is_tried_again_behind_what_was_shown() -> None:
    world = World(settings={"fallback": "other"})
    assert world.turn.begin(200, http.Headers())
    shown = world.turn.feed(frame(delta(content="hel")))
    assert b"hel" in shown
    assert not world.fail("broken", "reset")
    end = shown + world.turn.end()
    assert events(end)[-1]["type"] == "response.failed"
    assert "reset" in events(end)[-1]["response"]["error"]["message"]


def test_an_answer_whose_end_had_come_is_complete() -> None:
    world = World()
    assert world.turn.begin(200, http.Headers())
    sent = world.turn.feed(frame(delta(content="hello"))) + world.turn.feed(frame(delta("stop")))
    assert world.turn.settled
    assert not world.turn.ended
    assert not world.fail("broken", "reset")
    assert events(sent + world.turn.end())[-1]["type"] == "response.completed"
    assert world.turn.ended


def test_models_that_the_upstream_has_are_named() -> None:
    world = World(models=[{"id": "m-large"}, {"id": "zzz"}])
    assert not world.refuse(404, "The model 'm' does not exist.", code="model_not_found")
    message = world.error()[1]["message"]
    assert "has " in message
    assert message.endswith("m-large, zzz.")
    assert world.lists_asked == 1


def test_many_models_are_counted() -> None:
    world = World(models=[{"id": f"x{number}"} for number in range(14)])
    assert not world.refuse(404, "The model 'm' does not exist.", code="model_not_found")
    message = world.error()[1]["message"]
    assert message.endswith(" and 4 more.")
    assert len(message.rpartition(" has ")[2].split(", ")) == 10


def test_an_upstream_without_a_list_is_asked_once() -> None:
    world = World()
    assert not world.refuse(404, "not here")
    assert UPSTREAM in world.error()[1]["message"]
    again = ServedTurn(world.exchange, {}, world.means)
    again.begin(404, http.Headers())
    again.take(b"{}")
    asyncio.run(again.next_round())
    assert world.lists_asked == 1


# Searches


TOOL = {"type": "web_search"}


class Searches(DeclaredSearch):
    """Finds the same for every call."""

    def __init__(self, rounds: int = 1) -> None:
        asked = parse_request(dumps({"model": "m", "input": "hi", "tools": [TOOL]}))
        super().__init__(DeclaredTool(asked, [Declaration("tools[0]", TOOL)], "", None, Ledger(), str))
        self.limits = ToolLimits(rounds, 9, "searches", "searching")
        self.calls: list[HostedCall] = []

    async def run(self, call: HostedCall) -> HostedResult:
        self.calls.append(call)
        return HostedResult("it is so", [Source("https://a.example/", "A")])


def searching(**fields: Any) -> tuple[World, Searches]:
    searches = Searches()
    return World(searches=searches, **{"tools": [TOOL], **fields}), searches


def test_a_search_is_carried_out_and_the_model_is_asked_again() -> None:
    world, searches = searching()
    sent = world.stream(call(0, "web_search", '{"query": "why"}', "c1"), delta("tool_calls"))
    assert world.goes_on()
    assert [one.arguments for one in searches.calls] == [{"query": "why"}]
    last = world.exchange.upstream_request.body["messages"][-1]
    assert (last["role"], last["content"]) == ("tool", "it is so")
    sent += world.turn.told() + world.stream(delta(content="So."), delta("stop"))
    kinds = [item["type"] for item in events(sent)[-1]["response"]["output"]]
    assert (kinds[0], kinds[-1]) == ("web_search_call", "message")


def test_no_more_calls_than_the_client_allows() -> None:
    world, searches = searching(max_tool_calls=1)
    two = [call(number, "web_search", '{"query": "why"}', f"c{number}") for number in range(2)]
    world.stream(*two, delta("tool_calls"))
    assert world.goes_on()
    assert len(searches.calls) == 1
    assert "limit of searches" in world.exchange.upstream_request.body["messages"][-1]["content"]


def test_a_model_that_does_not_stop_searching_is_stopped() -> None:
    world, searches = searching()
    for number in range(3):
        world.stream(call(0, "web_search", '{"query": "why"}', f"c{number}"), delta("tool_calls"))
        assert world.goes_on() == (number < 2)
    assert len(searches.calls) == 1
    assert world.turn.told()
    assert b"went on searching after 1 rounds" in world.turn.end()


def test_without_a_search_engine_nothing_is_hosted() -> None:
    world = World(tools=[TOOL])
    assert "tools" not in world.exchange.upstream_request.body


# The answer


def test_a_client_that_does_not_stream_gets_json() -> None:
    world = World(stream=False)
    assert not world.turn.begin(201, http.Headers())
    world.turn.take(json.dumps(COMPLETION).encode())
    assert not world.goes_on()
    assert not world.turn.ended
    assert world.turn.told() == b""
    answer = world.turn.answer()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert json.loads(answer.content or b"")["output"][0]["content"][0]["text"] == "hello"


@pytest.mark.parametrize("status", [200, 201, 202, 203])
def test_any_success_is_one(status: int) -> None:
    assert World().turn.begin(status, http.Headers())


def test_an_unknown_encoding_is_an_error() -> None:
    world = World()
    assert not world.turn.begin(200, http.Headers(content_encoding="pig"))
    world.turn.take(b"{}")
    assert not world.goes_on()
    status, error = world.error()
    assert status == 502
    assert "cannot be read" in error["message"]


def test_a_stream_has_headers_of_ours_alone() -> None:
    head = World().turn.head()
    assert head.status_code == 200
    assert head.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert head.headers["cache-control"] == "no-cache"
    assert "content-length" not in head.headers
    assert head.stream


@pytest.mark.parametrize("code", ["context_length_exceeded", "rate_limit_exceeded"])
def test_codex_gets_some_errors_as_a_failed_response(code: str) -> None:
    world = World(CODEX)
    assert not world.refuse(429 if code.startswith("rate") else 400, "too much", code=code)
    answer = world.turn.answer()
    assert answer.status_code == 200
    last = events(answer.content or b"")[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["code"] == code
    assert World(CODEX, stream=False).turn.answer().status_code == 500


def test_codex_shows_the_message_of_a_permanent_refusal() -> None:
    world = World(CODEX)
    assert not world.refuse(400, "nonsense", code="odd")
    assert world.error()[1]["code"] == "invalid_prompt"
    other = World()
    assert not other.refuse(400, "nonsense", code="odd")
    assert other.error()[1]["code"] != "invalid_prompt"


def test_a_heartbeat_begins_the_answer() -> None:
    world = World()
    first, second = world.turn.heartbeat(), world.turn.heartbeat()
    assert b"response.created" in first
    assert b"response.created" not in second
    assert second


def test_without_a_cause_the_answer_is_lost() -> None:
    status, error = World().error()
    assert status == 500
    assert "lost the answer" in error["message"]
    assert World().turn.last_words().endswith(b"data: [DONE]\n\n")
