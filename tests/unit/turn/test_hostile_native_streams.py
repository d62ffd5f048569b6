"""What a native upstream may send: everything. The client gets one proper end, and what is shown can be shown."""

import asyncio
import copy
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from mitmproxy import http

from responses_gateway.command_line.raw_output import RawOutput
from responses_gateway.inspection.pages.wires import rows_of
from responses_gateway.inspection.recording import summary
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.turn_recorder import TurnRecorder
from responses_gateway.inspection.views import views
from responses_gateway.protocol import sse
from responses_gateway.turn.native_turn import NativeTurn
from unit.exchanges import DONE
from unit.turn.test_native_turn import BODY, COMPLETED, CREATED, ITEM, NEW, RESPONSE, World, event

Json = dict[str, Any]

LATE = event("response.completed", 7, response={"id": "resp_other", "status": "completed"})


def types(stream: bytes) -> list[str]:
    decoder = sse.SseDecoder()
    payloads = [*decoder.feed(stream), *decoder.finish()]
    return [json.loads(payload)["type"] for payload in payloads if payload != b"[DONE]"]


def finished(world: World) -> bytes:
    """What the client gets when the upstream has ended its message."""
    out: bytes = world.turn.finish()
    if not world.turn.ended:
        assert not asyncio.run(world.turn.next_round())
        out += world.turn.end()
    return out


@pytest.mark.parametrize("late", [LATE, NEW, CREATED])
@pytest.mark.parametrize("size", [1, 50, 100_000])
def test_nothing_follows_the_last_event(late: bytes, size: int) -> None:
    world = World()
    sent = CREATED + ITEM + COMPLETED + DONE + late + late + DONE
    got = world.stream(*(sent[at : at + size] for at in range(0, len(sent), size)))
    assert got + finished(world) == CREATED + ITEM + COMPLETED + DONE
    assert "more events came behind the last one" in world.noted()[0]


def test_what_follows_the_last_event_in_one_read_may_be_no_event() -> None:
    world = World()
    assert world.stream(CREATED + COMPLETED + b": bye\n\n" + DONE) == CREATED + COMPLETED + b": bye\n\n" + DONE
    assert finished(world) == b""


def test_comments_that_no_blank_line_ends_are_signs_of_life() -> None:
    world = World()
    world.stream(b": ping\n", b": ping\n", CREATED, b": ping\r\n")
    assert world.turn.keep_alives >= 3


@pytest.mark.parametrize("rest", [b'data: {"type": "resp', b"event: response.created", b": hello", b"data: [DONE"])
def test_half_an_event_at_the_end_spoils_no_other(rest: bytes) -> None:
    world = World()
    got = world.stream(CREATED, NEW + rest)
    assert got == CREATED + NEW
    assert types(got + finished(world)) == ["response.created", "response.unheard_of.delta", "response.failed"]


def test_a_last_event_without_its_blank_line_counts() -> None:
    for event_bytes, kinds in ((COMPLETED, ["response.completed"]), (NEW, [types(NEW)[0], "response.failed"])):
        world = World()
        got = world.stream(CREATED, event_bytes.removesuffix(b"\r\n"))
        assert types(got + finished(world)) == ["response.created", *kinds]


@pytest.mark.parametrize("number", [10**30, -5, True, 1.5, "7", None])
def test_the_numbers_of_its_events_need_not_be_numbers(number: object) -> None:
    world = World()
    odd = f"data: {json.dumps({'type': 'x', 'sequence_number': number})}\n\n".encode()
    got = world.stream(CREATED, odd) + finished(world)
    assert got.startswith(CREATED + odd)
    assert types(got)[-1] == "response.failed"


def test_another_status_of_success_streams_too() -> None:
    world = World()
    assert world.begin(201)
    assert world.turn.feed(CREATED + COMPLETED) == CREATED + COMPLETED


@pytest.mark.parametrize("status", [301, 307, 308])
def test_the_client_is_not_sent_elsewhere(status: int) -> None:
    world = World(retries=0)
    assert not world.begin(status, {"location": "http://elsewhere.test/v1/responses"})
    world.turn.take(b"")
    assert not world.goes_on()
    answer = world.turn.answer()
    assert answer.status_code == 502
    assert "location" not in answer.headers


EVENTS: list[Json] = [
    {"type": "response.created", "response": RESPONSE},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call", "arguments": ""}},
    {"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": "fc", "delta": "{}"},
    {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "content": []}},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "hi"},
    {"type": "response.output_item.done", "output_index": 2, "item": {"type": "web_search_call", "action": {"q": "q"}}},
    {
        "type": "response.completed",
        "response": {
            **RESPONSE,
            "status": "completed",
            "error": {"message": "none"},
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "t"}]}],
            "usage": {"input_tokens": 1, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 0}},
        },
    },
]
ODD = (None, True, -1, 10**30, 1e300, "", "\ud800", [], [None], {}, {"a": 1})


def spoilt() -> Iterator[list[Json]]:
    """The events, each time with another value replaced by an odd one."""

    def places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        if path:
            yield path
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, below in pairs:
            yield from places(below, (*path, key))

    for number, path in enumerate(places(EVENTS, ())):
        # Not every value everywhere: that takes ten seconds.
        for odd in ODD[number % 5 :: 5]:
            told = copy.deepcopy(EVENTS)
            *way, last = path
            place: Any = told
            for key in way:
                place = place[key]
            place[last] = odd
            yield told


def test_events_of_any_shape_can_be_passed_on_and_shown() -> None:
    for told in spoilt():
        stream = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in told)
        metadata: Json = {}
        world, recorder = World(), TurnRecorder(metadata, clock=lambda: 3.0, keep=True)
        recorder.requested("POST", "/v1/responses", {}, BODY)
        world.outcome.runtime = replace(world.runtime, watch=RawOutput(io.StringIO()))
        world.outcome.observe(recorder)
        world.turn = NativeTurn(world.outcome, {}, world.services)
        assert world.turn.begin(200, http.Headers([(b"content-type", b"text/event-stream")]))
        got = world.turn.feed(stream) + finished(world)
        assert got.startswith(stream), told
        recorder.ended()
        summary.comment(recorder.facts)
        record = RecordedTurn.of(metadata)
        assert record is not None
        for view in (views.chat_request, views.answer, views.upstream_chunks, views.responses_events):
            view(record)
        assert rows_of(record)


def test_whole_answers_of_any_shape_can_be_passed_on_and_shown() -> None:
    for told in spoilt():
        body = json.dumps(told[-1].get("response") if isinstance(told[-1], dict) else told[-1]).encode()
        metadata: Json = {}
        world, recorder = World(BODY.replace(b"true", b"false")), TurnRecorder(metadata, clock=lambda: 3.0, keep=True)
        recorder.requested("POST", "/v1/responses", {}, BODY)
        world.outcome.runtime = replace(world.runtime, watch=RawOutput(io.StringIO()))
        world.outcome.observe(recorder)
        world.turn = NativeTurn(world.outcome, {}, world.services)
        assert not world.begin(headers={"content-type": "application/json"})
        world.turn.take(body)
        assert not asyncio.run(world.turn.next_round())
        assert world.turn.answer().raw_content == body
        recorder.answered(body)
        recorder.ended()
        summary.comment(recorder.facts)
        record = RecordedTurn.of(metadata)
        assert record is not None
        views.answer(record)
