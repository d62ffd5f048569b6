"""Turns of targets that speak the Responses API themselves: passed on as they are, ended and repeated properly."""

import asyncio
import io
import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from mitmproxy import http

from responses_gateway.command_line.raw_output import RawOutput
from responses_gateway.endpoints import responses
from responses_gateway.endpoints.native import passing_on
from responses_gateway.inspection.pages.wires import rows_of
from responses_gateway.inspection.recording import summary
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.turn_recorder import TurnRecorder
from responses_gateway.inspection.views import views
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Call
from responses_gateway.protocol.json import JsonObject
from responses_gateway.proxy.contract import Failure
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.reasoning import PLAIN_ENVELOPES
from responses_gateway.turn.native_request import NativeRequest
from responses_gateway.turn.native_turn import NativeTurn
from responses_gateway.turn.served_turn import ServedTurn
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.health import FAULTS, PERIOD, UpstreamHealth, UpstreamKey
from responses_gateway.upstream.learned_repairs import LearnedRepairs
from unit.exchanges import DONE, events, frame
from unit.machine import delta
from unit.world import runtime

Json = dict[str, Any]

PROVIDER = {
    "profile": {"name": "native", "base_url": "http://native.test/v1", "api": "responses"},
    "base": "openai-compatible",
    "api_key": "sk-native-key-0123",
}
CHAT = {
    "profile": {"name": "chat", "base_url": "http://chat.test/v1"},
    "base": "openai-compatible",
    "api_key": "sk-chat-key-0123",
}
STREAM = {"content-type": "text/event-stream; charset=utf-8", "x-request-id": "req_1"}
BODY = (
    b'{ "model":"m", "input" : [{"type":"new_thing","x":1}, {"role":"user","content":"hi"}],"stream":true, '
    b'"tools":[{"type":"unheard_of"}] }'
)
RESPONSE = {"id": "resp_native", "object": "response", "status": "in_progress", "output": [], "model": "m"}


def event(kind: str, number: int, **fields: Any) -> bytes:
    """An event as no gateway would write it."""
    return f"event: {kind}\r\ndata: {json.dumps({'sequence_number': number, 'type': kind, **fields})}\r\n\r\n".encode()


CREATED = event("response.created", 0, response=RESPONSE)
ITEM = event("response.output_item.done", 4, output_index=0, item={"type": "unheard_of", "id": "x_1"})
NEW = event("response.unheard_of.delta", 5, delta="new")
COMPLETED = event("response.completed", 6, response={**RESPONSE, "status": "completed"})


class World:
    """One call for a native target, and what it waits for."""

    def __init__(
        self,
        body: bytes = BODY,
        headers: Mapping[str, str] | None = None,
        path: str = "/v1/responses",
        health: UpstreamHealth | None = None,
        **settings: Any,
    ) -> None:
        self._health = health or UpstreamHealth(0, lambda: 0.0)
        values = {
            "store": "none",
            "provider": "native",
            "providers": {"native": PROVIDER, "chat": CHAT},
            **settings,
        }
        self.runtime = runtime(Settings.model_validate(values))
        self.headers = {"authorization": "Bearer sk-the-clients-own", **(headers or {})}
        self.call = Call.parse("POST", path, self.headers, body, "http://gateway", owner="one")
        self.waits: list[float] = []
        self.outcome: Any = asyncio.run(responses.create(self.call, self.runtime))
        if isinstance(self.outcome, NativeRequest):
            self.turn: Any = NativeTurn(self.outcome, self.headers, self.services)

    @property
    def services(self) -> TurnServices:
        async def no_models(*_: object) -> None:
            return None

        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        learned = LearnedRepairs(None, lambda: 1.0)
        router = self.runtime.router
        settings, health = self.runtime.settings, self._health
        return TurnServices(settings, router, learned, no_models, sleep=sleep, jitter=lambda: 0.5, health=health)

    def begin(self, status: int = 200, headers: Mapping[str, str] = STREAM) -> bool:
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        began: bool = self.turn.begin(status, http.Headers(fields))
        return began

    def stream(self, *pieces: bytes) -> bytes:
        assert self.begin()
        return b"".join(self.turn.feed(piece) for piece in pieces)

    def refuse(self, status: int, body: Json | None = None, headers: Mapping[str, str] | None = None) -> bool:
        """The upstream refuses; whether there is another round."""
        assert not self.begin(status, {"content-type": "application/json", **(headers or {})})
        self.turn.take(json.dumps(body or {"error": {"message": "no"}}).encode())
        return self.goes_on()

    def goes_on(self) -> bool:
        again = asyncio.run(self.turn.next_round())
        if again and self.turn.successor is not None:
            self.turn = self.turn.successor
        return again

    def noted(self) -> list[str]:
        return [str(entry) for entry in self.turn.ledger.entries]


def sent(world: World) -> JsonObject:
    body: JsonObject = json.loads(world.turn.request.raw_content)
    return body


def test_the_clients_bytes_go_as_they_are() -> None:
    request = World().turn.request
    assert request.raw_content == BODY
    assert request.url == "http://native.test/v1/responses"
    assert request.headers["authorization"] == "Bearer sk-native-key-0123"


def test_only_the_models_name_changes() -> None:
    world = World(models={"m": {"target": "native/their-name"}})
    assert world.turn.request.raw_content == BODY.replace(b'"m"', b'"their-name"')


def test_no_key_of_the_client_goes_to_the_upstream() -> None:
    secrets = {"x-api-key": "sk-the-clients-own", "cookie": "a=sk-the-clients-own", "openai-organization": "org-own"}
    kept = {"user-agent": "codex_exec/0.169.0", "originator": "codex_exec", "x-codex-window-id": "w"}
    world = World(headers={**secrets, **kept, "x-forwarded-for": "10.0.0.1", "connection": "x-hop", "x-hop": "1"})
    headers = world.turn.request.headers
    assert not any(b"own" in value or value == b"10.0.0.1" for _, value in headers.fields)
    assert {name: headers[name] for name in kept} == kept
    assert "x-hop" not in headers


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_answer_is_passed_on_byte_by_byte(size: int) -> None:
    world = World()
    whole = CREATED + b": ping\n\n" + ITEM + NEW + COMPLETED + DONE
    passed = world.stream(*(whole[at : at + size] for at in range(0, len(whole), size)))
    assert world.turn.settled
    passed += world.turn.finish()
    assert passed == whole
    assert world.turn.ended
    head = world.turn.head()
    assert head.headers["x-request-id"] == "req_1"
    assert not world.goes_on()


def test_a_whole_answer_is_passed_on_as_it_is() -> None:
    world = World(b'{"model": "m", "input": "hi"}')
    assert not world.begin(headers={"content-type": "application/json", "x-new": "kept"})
    body = b'{"id": "resp_native",  "object": "response", "new": [1.0]}'
    world.turn.take(body)
    assert not world.goes_on()
    answer = world.turn.answer()
    assert (answer.status_code, answer.raw_content, answer.headers["x-new"]) == (200, body, "kept")


@pytest.mark.parametrize("stream", [True, False])
def test_the_client_is_told_what_its_request_lost(stream: bool) -> None:
    sealed = {"type": "compaction", "encrypted_content": PLAIN_ENVELOPES.seal({"text": "for another model"})}
    world = World(json.dumps({"model": "m", "stream": stream, "input": [sealed, "hi"]}).encode())
    if stream:
        world.stream(CREATED)
        answer = world.turn.head()
    else:
        world.begin(headers={"content-type": "application/json"})
        world.turn.take(b"{}")
        answer = world.turn.answer()
    assert answer.headers["x-responses-gateway-ledger"] == "dropped input.compaction"


def test_the_end_of_a_stream_that_was_cut_continues_it() -> None:
    world = World()
    passed = world.stream(CREATED, ITEM, NEW, b'data: {"type":"response.comp')
    assert passed == CREATED + ITEM + NEW
    world.turn.fail(Failure("broken", "reset"))
    assert not world.goes_on()
    [end] = events(world.turn.end())
    assert (end["type"], end["sequence_number"]) == ("response.failed", 6)
    assert end["response"]["id"] == "resp_native"
    assert end["response"]["output"] == [{"type": "unheard_of", "id": "x_1"}]
    assert "closed the connection" in end["response"]["error"]["message"]


def test_a_stream_that_stops_without_its_last_event_was_cut() -> None:
    world = World()
    world.stream(CREATED, NEW)
    assert world.turn.finish() == b""
    assert not world.turn.ended
    assert events(world.turn.end())[-1]["type"] == "response.failed"


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\n\r\n", "\r\n\n", "\r\r"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_every_event_is_passed_on_as_soon_as_it_is_whole(end: str, size: int) -> None:
    data = f"data: {json.dumps({'type': 'response.unheard_of', 'sequence_number': 1})}{end}".encode()
    world = World()
    assert world.stream(*(data[at : at + size] for at in range(0, len(data), size))) == data


@pytest.mark.parametrize("line", [b": comment\n", b"event: x\n", b"id: 1\n", b"data: x\n"])
def test_an_event_without_end_ends_the_turn(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    monkeypatch.setattr("responses_gateway.turn.native_stream._LARGEST_EVENT", 1000)
    world = World()
    assert world.begin()
    for _ in range(200):
        if world.turn.round_over:
            break
        assert world.turn.feed(line) == b""
    assert world.turn.round_over
    assert b"longer than 1000 bytes" in world.turn.end()


def test_what_breaks_behind_the_end_does_not_matter() -> None:
    world = World()
    world.stream(CREATED, COMPLETED)
    world.turn.fail(Failure("broken", "reset"))
    assert not world.goes_on()
    assert world.turn.end() == b""


def test_a_stream_that_never_began_ends_with_a_response() -> None:
    world = World()
    assert world.turn.heartbeat().startswith(b":")
    assert world.turn.head().headers["content-type"].startswith("text/event-stream")
    world.turn.fail(Failure("first_byte_timeout", seconds=5))
    assert not world.goes_on()
    created, failed = events(world.turn.end())
    assert [created["type"], failed["type"]] == ["response.created", "response.failed"]
    assert [created["sequence_number"], failed["sequence_number"]] == [0, 1]
    assert created["response"]["id"] == failed["response"]["id"]
    assert "gateway_first_byte_timeout" in failed["response"]["error"]["message"]


def test_codex_gets_heartbeats_that_it_counts() -> None:
    heartbeat = World(headers={"originator": "codex_exec"}).turn.heartbeat()
    assert heartbeat == b'event: keepalive\ndata: {"type":"keepalive"}\n\n'


def test_a_refusal_is_passed_on_as_it_is_but_for_keys() -> None:
    world = World()
    body = {"error": {"message": "Incorrect API key: sk-native-key-0123.", "code": "invalid_api_key", "new": 1}}
    assert not world.refuse(401, body, {"x-request-id": "req_2"})
    answer = world.turn.answer()
    assert (answer.status_code, answer.headers["x-request-id"]) == (401, "req_2")
    told = {"message": "Incorrect API key: [redacted].", "code": "invalid_api_key", "new": 1}
    assert json.loads(answer.raw_content or b"") == {"error": told}


def test_what_may_pass_is_tried_again() -> None:
    world = World()
    assert world.refuse(503)
    assert world.turn.request.raw_content == BODY
    world.turn.fail(Failure("refused", "nobody there"))
    assert world.goes_on()
    assert world.waits == [0.5, 1.0]
    assert world.stream(CREATED, COMPLETED) == CREATED + COMPLETED


def test_nothing_is_tried_again_once_something_was_passed_on() -> None:
    world = World()
    world.stream(CREATED)
    world.turn.fail(Failure("broken", "reset"))
    assert not world.goes_on()


def test_a_told_wait_is_kept_if_it_is_short() -> None:
    world = World()
    assert world.refuse(429, headers={"retry-after": "2"})
    assert world.waits == [2.0]
    assert not World().refuse(429, headers={"retry-after": "60"})


def resting() -> UpstreamHealth:
    """The health of a target that has just begun to rest."""
    moments = itertools.count(step=PERIOD / (FAULTS - 1))
    health = UpstreamHealth(1000, lambda: float(next(moments)))
    while not (world := World(health=health, retries=0)).refuse(503, {"error": {"message": "overloaded"}}):
        if b"times in a row" in (world.turn.answer().content or b""):
            return health
    raise AssertionError("without retries there is no other round")


@pytest.mark.parametrize(("headers", "status"), [({}, 503), ({"originator": "codex_exec"}, 400)])
def test_a_target_that_keeps_failing_is_not_asked(headers: Json, status: int) -> None:
    with pytest.raises(GatewayError, match=r"Last: .*overloaded") as refused:
        World(health=resting(), headers=headers)
    assert refused.value.status == status


def test_a_target_that_keeps_failing_is_still_replaced_by_the_fallback() -> None:
    world = World(health=resting(), fallback="chat/other")
    assert world.refuse(503)
    assert world.turn.request.url == "http://chat.test/v1/chat/completions"
    assert world.waits == []


def test_a_target_that_answers_does_not_rest() -> None:
    health = resting()
    key = UpstreamKey("one", "http://native.test/v1", "m")
    assert health.faults(key)
    World(health=health, fallback="chat/other").stream(CREATED)
    assert not health.faults(key)


def test_the_fallback_is_asked_in_its_own_way() -> None:
    world = World(fallback="chat/other", retries=0)
    assert world.refuse(500)
    assert world.turn.request.url == "http://chat.test/v1/chat/completions"
    assert world.turn.request.headers["authorization"] == "Bearer sk-chat-key-0123"
    assert sent(world)["model"] == "other"
    world.begin()
    out = world.turn.feed(frame(delta("stop", content="hello"))) + world.turn.feed(DONE) + world.turn.finish()
    assert events(out)[-1]["response"]["output"][0]["content"][0]["text"] == "hello"
    assert "changed model: m → other: native answered HTTP 500: no" in world.noted()


def test_the_fallback_may_be_native_itself() -> None:
    world = World(fallback="native/other", retries=0)
    assert world.refuse(500)
    assert world.turn.request.raw_content == BODY.replace(b'"m"', b'"other"')
    assert not world.refuse(500)


@pytest.mark.parametrize("status", [404, 405])
def test_a_target_without_the_api_is_asked_once(status: int) -> None:
    auto = {**PROVIDER, "profile": {**PROVIDER["profile"], "api": "auto"}}
    world = World(providers={"native": auto})
    assert world.refuse(status, {"detail": "Not Found"})
    assert world.turn.request.url == "http://native.test/v1/chat/completions"
    again = asyncio.run(responses.create(world.call, world.runtime))
    assert not isinstance(again, NativeRequest)


def test_a_model_that_is_not_there_is_no_api_that_is_not_there() -> None:
    auto = {**PROVIDER, "profile": {**PROVIDER["profile"], "api": "auto"}}
    world = World(providers={"native": auto})
    assert not world.refuse(404, {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}})
    assert world.turn.answer().status_code == 404


def test_what_is_not_known_here_is_no_fault() -> None:
    world = World(b'{"model":"m","input":{"not":"a list"},"temperature":17,"stream":true}')
    assert isinstance(world.outcome, NativeRequest)


def test_a_model_may_speak_another_api_than_its_provider() -> None:
    assert not isinstance(World(models={"m": {"target": "native/m", "api": "chat"}}).outcome, NativeRequest)
    world = World(models={"m": {"target": "chat/m", "api": "responses"}})
    assert world.turn.request.url == "http://chat.test/v1/responses"


DENYING = {**PROVIDER, "profile": {**PROVIDER["profile"], "tools": {"deny": ["unheard_of"]}}}  # type: ignore[dict-item]


@pytest.mark.parametrize("settings", [{"deny_tools": ["unheard_of"]}, {"providers": {"native": DENYING, "chat": CHAT}}])
def test_denied_tools_are_kept_from_models_that_could_be_asked_natively(settings: Json) -> None:
    world = World(
        b'{"model": "m", "input": "hi", "tools": [{"type": "unheard_of"}, {"type": "function", "name": "run"}]}',
        **settings,
    )
    assert not isinstance(world.outcome, NativeRequest)
    assert world.outcome.upstream_request.url == "http://native.test/v1/chat/completions"
    assert [tool["function"]["name"] for tool in world.outcome.upstream_request.body["tools"]] == ["run"]


@pytest.mark.parametrize("status", [404, 405])
def test_a_provider_without_chat_completions_cannot_have_denied_tools(status: int) -> None:
    world = World(deny_tools=["unheard_of"], retries=0)
    turn = ServedTurn(world.outcome, world.headers, world.services)
    turn.begin(status, http.Headers())
    turn.take(b'{"detail": "Not Found"}')
    assert not asyncio.run(turn.next_round())
    error = json.loads(turn.answer().content or b"")["error"]
    assert "deny_tools" in error["message"]


@pytest.mark.parametrize("deny", [[], ["unheard_of"]])
def test_a_fallback_denies_tools_too(deny: list[str]) -> None:
    world = World(models={"m": {"target": "chat/m"}}, fallback="native/other", retries=0, deny_tools=deny)
    turn = ServedTurn(world.outcome, world.headers, world.services, passing_on(world.call, world.runtime))
    turn.begin(503, http.Headers())
    turn.take(b"{}")
    assert asyncio.run(turn.next_round())
    assert (turn.passed_on is None) == bool(deny)


def test_an_answer_without_end_is_no_answer() -> None:
    world = World()
    world.begin(headers={**STREAM, "content-encoding": "gzip"})
    assert world.turn.feed(b"no gzip") == b""
    assert world.turn.round_over
    assert not world.goes_on()
    assert world.turn.answer().status_code == 502


def test_a_whole_answer_to_a_stream_that_began_becomes_events() -> None:
    world = World()
    world.turn.heartbeat()
    assert not world.begin(headers={"content-type": "application/json"})
    world.turn.take(json.dumps({**RESPONSE, "status": "completed"}).encode())
    assert not world.goes_on()
    assert [one["type"] for one in events(world.turn.end())] == ["response.created", "response.completed"]


def test_a_native_turn_can_be_looked_at() -> None:
    world = World()
    metadata: Json = {}
    recorder = TurnRecorder(metadata, clock=lambda: 3.0, keep=True)
    recorder.requested("POST", "/v1/responses", {}, BODY)
    world.outcome.observe(recorder)
    turn = NativeTurn(world.outcome, {}, world.services)
    turn.begin(200, http.Headers([(b"content-type", b"text/event-stream")]))
    delta = event("response.output_text.delta", 5, output_index=0, item_id="m", delta="Hel")
    usage = {"input_tokens": 10, "output_tokens": 3}
    turn.feed(
        CREATED
        + delta
        + delta
        + event("response.completed", 9, response={**RESPONSE, "status": "completed", "usage": usage})
    )
    turn.finish()
    recorder.ended()
    facts = recorder.facts
    assert (facts["status"], facts["usage"], facts["provider"]) == ("completed", usage, "native")
    assert "10→3 tok" in summary.comment(facts)
    record = RecordedTurn.of(metadata)
    assert record is not None
    assert "POST http://native.test/v1/responses" in views.chat_request(record)
    assert "10 in" in views.answer(record)
    assert "response.output_text.delta [0] ×2" in views.upstream_chunks(record)
    assert "HelHel" in views.responses_events(record)
    assert {row.state for row in rows_of(record)} == {"same"}


def test_an_event_of_any_shape_can_be_recorded() -> None:
    recorder = TurnRecorder(clock=lambda: 3.0, keep=True)
    for shape in ({}, {"type": None}, {"type": "response.completed"}, {"type": "response.output_item.done", "item": 1}):
        recorder.sent(b"data: {}\n\n", [shape])
    recorder.ended()
    assert recorder.facts["calls"] == 0


def test_whoever_watches_all_answers_sees_these_too() -> None:
    world, out = World(), io.StringIO()
    world.outcome.runtime = replace(world.runtime, watch=RawOutput(out))
    odd = b"data: {}\n\n" + event("response.output_item.added", 1)
    world.stream(CREATED, odd, event("response.output_text.delta", 2, delta="Hello."), COMPLETED)
    assert out.getvalue() == "Hello.\n[m: completed]\n"
