"""The exchange driven with any sequence of chunks, faults, silences, rounds and ends: always one proper end."""

import json
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from responses_gateway.protocol import body
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.settings.settings import Settings
from unit.exchanges import DONE, events, exchange, frame
from unit.machine import PATCH, RUN, call, check, delta, spoken
from unit.world import open_exchange, runtime

WORDS = st.sampled_from(["a", " b", "<think>", "</think>", "\n\n", "<tool_call>", "｜DSML｜", "é", ""])
REASONS = st.sampled_from(["stop", "length", "tool_calls", "content_filter", "error", "", "eos", "abort"])
CHUNKS = st.one_of(
    st.builds(lambda text: delta(content=text), WORDS),
    st.builds(lambda text: delta(reasoning_content=text), WORDS),
    st.builds(
        call,
        st.sampled_from([None, 0, 1, 5]),
        st.sampled_from([None, "", "run", "apply_patch", "nobody"]),
        st.sampled_from([None, "", "{", '{"cmd": "ls"}', "}", '{"input": "x', '"}', {"cmd": "ls"}]),
        st.sampled_from([None, "call_a", "call_b"]),
    ),
    st.builds(lambda reason: delta(reason), REASONS),
    st.sampled_from(
        [
            {"choices": []},
            {"choices": None},
            {"choices": [None, 5, {"delta": None}, {"delta": {"content": 5, "tool_calls": None}}]},
            {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
            {"usage": {"prompt_tokens": None, "completion_tokens": "x"}},
            {"choices": [{"index": 1, "delta": {"content": "other"}}]},
            {"choices": [{"delta": {"tool_calls": [None, {"function": None}, {"function": {"name": 5}}]}}]},
        ]
    ),
)
ERRORS = st.sampled_from(
    [
        {"error": {"message": "it broke", "code": 500}},
        {"error": "it broke"},
        [{"error": {"message": "it broke"}}],
        {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
        {"detail": "it broke"},
    ]
)
GARBAGE = st.one_of(
    st.binary(max_size=20), st.sampled_from([b"\n\n", b"data: {\n\n", b": comment\n\n", b"data:\n\n", b"[1]"])
)


class AnyStream(RuleBasedStateMachine):
    """One exchange, to which anything may happen in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = exchange(tools=[RUN, PATCH])
        self.sent = b""
        self.over = False
        self.exchange.begin({})

    def take(self, data: bytes) -> None:
        assert not (self.over and data), "something came behind the end"
        self.sent += data
        self.over = self.exchange.ended

    @rule(payload=CHUNKS)
    def chunk(self, payload: Any) -> None:
        self.take(self.exchange.feed(frame(payload)))

    @rule(payload=ERRORS)
    def error(self, payload: Any) -> None:
        self.take(self.exchange.feed(frame(payload)))

    @rule(data=GARBAGE)
    def garbage(self, data: bytes) -> None:
        self.take(self.exchange.feed(data))

    @rule()
    def done(self) -> None:
        self.take(self.exchange.feed(DONE))

    @rule()
    def silence(self) -> None:
        self.take(self.exchange.heartbeat())

    @rule()
    def end(self) -> None:
        self.take(self.exchange.close())

    @rule()
    def cut(self) -> None:
        self.take(self.exchange.cut(GatewayError("cut", 502)))

    @precondition(lambda self: not self.exchange.has_shown and not self.over)
    @rule()
    def another_round(self) -> None:
        self.exchange.next_round()
        self.exchange.begin({})

    @invariant()
    def nothing_is_shown_of_a_fault(self) -> None:
        assert self.exchange.fault is None or not self.exchange.has_shown or self.over

    def teardown(self) -> None:
        self.take(self.exchange.cut(GatewayError("cut", 502)))
        assert self.exchange.ended
        assert self.exchange.feed(frame(delta(content="late"))) == b""
        assert self.exchange.close() == b""
        check(events(self.sent))


TestAnyStream = AnyStream.TestCase
TestAnyStream.settings = settings(
    max_examples=150, stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.mark.parametrize(
    "chunk",
    [
        {"error": {"message": "boom", "code": 500}},
        {"error": "boom"},
        {"error": [{"message": "boom"}]},
        {"choices": [], "error": {"message": "boom"}},
        {"base_resp": {"status_code": 1000, "status_msg": "boom"}},
        {"detail": "boom"},
        {"message": "boom", "type": "server_error"},
        {"choices": [{"delta": {}, "error": {"message": "boom"}, "finish_reason": "error"}]},
    ],
)
def test_an_error_in_the_stream_fails_the_response_and_keeps_the_text(chunk: Any) -> None:
    one = exchange()
    one.begin({})
    end = events(one.feed(frame(delta(content="so far"))) + one.feed(frame(chunk)))[-1]
    response = end["response"]
    assert end["type"] == "response.failed"
    assert "boom" in response["error"]["message"]
    assert spoken(response["output"][0]) == ("message", "so far")


def test_a_fault_of_our_own_ends_the_stream(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    one = exchange()
    one.begin({})
    sent = one.feed(frame(delta(content="half")))
    monkeypatch.setattr("responses_gateway.translate.answer.state_machine.read_chunk", broken)
    with caplog.at_level(logging.ERROR):
        sent += one.feed(frame(delta(content=" an")) * 2)
    assert "RuntimeError: a bug" in caplog.text
    received = events(sent)
    check(received)
    assert received[-1]["type"] == "response.failed"
    assert received[-1]["response"]["output"][0]["content"][0]["text"] == "half"
    assert received[-1]["response"]["error"]["code"] == "server_error"
    assert "failed to translate the answer" in received[-1]["response"]["error"]["message"]


def test_a_fault_of_our_own_in_a_whole_answer_is_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("responses_gateway.translate.answer.state_machine.read_chunk", broken)
    with caplog.at_level(logging.ERROR), pytest.raises(GatewayError) as raised:
        exchange(stream=False).answer(200, {}, json.dumps({"choices": []}).encode())
    assert (raised.value.status, raised.value.code, raised.value.type) == (500, "server_error", "server_error")
    assert "RuntimeError: a bug" in caplog.text


def test_a_fault_while_failing_ends_the_stream_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    one = exchange()
    one.begin({})
    sent = one.feed(frame(delta(content="half")))
    monkeypatch.setattr("responses_gateway.translate.answer.output_assembler.OutputAssembler.abandon", broken)
    monkeypatch.setattr("responses_gateway.translate.answer.state_machine.read_chunk", broken)
    received = events(sent + one.feed(frame(delta(content=" an"))))
    assert received[-1]["type"] == "response.failed"
    assert [event["sequence_number"] for event in received] == list(range(len(received)))


def test_a_character_cut_in_two_is_shown_whole() -> None:
    one = exchange(tools=[RUN])
    one.begin({})
    sent = b"".join(
        one.feed(frame(payload))
        for payload in (
            delta(reasoning_content="a\ud83d"),
            delta(reasoning_content="\ude00b"),
            delta(content="c\ud83d"),
            delta(content=""),
            delta(content="\ude00d"),
            call(0, "run", '{"cmd": "\ud83d', "call_1"),
            call(0, None, '\ude00"}'),
            delta("tool_calls"),
        )
    )
    received = events(sent + one.feed(DONE) + one.close())
    check(received)
    deltas = ["".join(e["delta"] for e in received if e["type"] == f"response.{kind}.delta") for kind in DELTAS]
    assert deltas == ["a\U0001f600b", "c\U0001f600d", '{"cmd": "\U0001f600"}']


DELTAS = ("reasoning_summary_text", "output_text", "function_call_arguments")


def test_half_a_character_stays_in_its_place() -> None:
    one = exchange()
    one.begin({})
    sent = b"".join(one.feed(frame(delta(content=text))) for text in ("a\ud83d", "b", "c"))
    received = events(sent + one.feed(frame(delta("stop"))) + one.feed(DONE) + one.close())
    assert received[-1]["response"]["output"][0]["content"][0]["text"] == "a\ufffdbc"


@pytest.mark.parametrize("end", [DONE, b""])
def test_half_a_character_at_the_end_is_on_the_record(end: bytes) -> None:
    one = exchange()
    one.begin({})
    one.feed(frame(delta(content="a\ud83d")) + frame(delta("stop")) + end)
    one.close()
    assert [entry.why for entry in one.ledger.entries if entry.action == "dropped"] == [
        "half a character, whose other half did not come"
    ]


def test_a_byte_that_is_no_text_costs_one_character_only() -> None:
    one = exchange()
    one.begin({})
    broken = json.dumps(delta(content="caf?")).encode().replace(b"?", b"\xe9")
    received = events(one.feed(frame(broken)) + one.feed(frame(delta("stop"))) + one.feed(DONE) + one.close())
    assert received[-1]["response"]["output"][0]["content"][0]["text"] == "caf\ufffd"
    assert ("repaired", "output") in [(entry.action, entry.field) for entry in one.ledger.entries]


@pytest.mark.parametrize(
    "data", [b'{"message": "it broke"}', b'{"error": {"message": "it broke"}}', b"it broke", b'"it broke"']
)
def test_an_event_called_error_is_one(data: bytes) -> None:
    one = exchange()
    one.begin({})
    sent = one.feed(frame(delta(content="a")) + b"event: error\ndata: " + data + b"\n\n" + DONE)
    error = events(sent)[-1]["response"]["error"]
    assert error == {"code": "server_error", "message": "it broke"}


def test_only_token_counts_matter_behind_the_end() -> None:
    one = exchange()
    one.begin({})
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    late = frame(delta(content="late")) + frame({"error": "late"}) + frame({"choices": [], "usage": usage})
    received = events(one.feed(frame(delta(content="a")) + frame(delta("stop")) + DONE + late) + one.close())
    check(received)
    response = received[-1]["response"]
    assert (response["status"], response["output"][0]["content"][0]["text"]) == ("completed", "a")
    assert response["usage"]["total_tokens"] == 5


@pytest.mark.parametrize("streaming", [True, False])
def test_the_usage_that_an_upstream_does_not_tell_is_estimated(streaming: bool) -> None:
    one = exchange(input="x" * 400, stream=streaming)
    body = b"".join(map(frame, (delta(reasoning_content="abcd"), delta(content="y" * 80), delta("stop")))) + DONE
    if streaming:
        one.begin({})
        response = events(one.feed(body) + one.close())[-1]["response"]
    else:
        whole = one.answer(200, {}, body)
        assert whole is not None
        response = whole
    assert response["usage"] == {
        "input_tokens": 104,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 21,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 125,
    }
    assert ("added", "usage") in [(entry.action, entry.field) for entry in one.ledger.entries]


def test_a_stream_that_nobody_asked_for_is_taken_as_a_whole_answer() -> None:
    chunks = [delta(content="Hel"), delta(content="lo"), delta("stop")]
    body = b"".join(map(frame, chunks)) + DONE
    response = exchange(stream=False).answer(200, {}, body)
    assert response is not None
    assert response["output"][0]["content"][0]["text"] == "Hello"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (frame({"error": {"message": "it broke"}}), "it broke"),
        (frame(delta(content="half")) + frame({"error": {"message": "it broke"}}), "it broke"),
        (frame(delta(content="half")), "neither finish_reason"),
        (b"upstream connect error", "no chat completion: upstream connect error"),
        (b" a\n\xff  b", "no chat completion: a \ufffd b$"),
        (b"x" * 400, f"no chat completion: {'x' * 300}$"),
        (b"", "no chat completion: it is empty"),
    ],
)
def test_a_broken_stream_that_nobody_asked_for_is_an_error(body: bytes, words: str) -> None:
    with pytest.raises(GatewayError, match=words) as raised:
        exchange(stream=False).answer(200, {}, body)
    assert (raised.value.status, raised.value.code, raised.value.type) == (502, "server_error", "server_error")


def test_a_limit_in_a_stream_that_nobody_asked_for_keeps_its_status() -> None:
    body = frame(delta(content="half")) + frame({"error": {"message": "slow down", "code": 429}})
    with pytest.raises(GatewayError, match="slow down") as caught:
        exchange(stream=False).answer(200, {}, body)
    assert (caught.value.status, caught.value.retry_after) == (429, 10)


@pytest.mark.parametrize(
    ("data", "content", "keep_alives"),
    [
        (frame(delta(content="a")), True, False),
        (frame(delta(reasoning_content="a")), True, False),
        (frame(delta(tool_calls=[{"index": 0, "function": {"name": "run"}}])), True, False),
        (frame(delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}])), True, False),
        (frame(delta(content="<tool_call>{")), True, False),
        (frame(delta()), False, False),
        (frame(delta(role="assistant", content="")), False, False),
        (frame(delta(tool_calls=[{"index": 0, "function": {"arguments": ""}}])), False, False),
        (frame(delta(tool_calls=[{"index": 0}])), False, False),
        (frame({"choices": [], "usage": {"prompt_tokens": 1}}), False, False),
        (frame(b"{"), False, False),
        (b"data: {", False, False),
        (b": PROCESSING\n\n", False, True),
        (b"\n", False, True),
        (b"event: ping\n\n", False, True),
        (b'{"choices": [', True, False),
    ],
)
@pytest.mark.parametrize("reasoning", ["summary", "none"])
def test_what_counts_as_content(data: bytes, content: bool, keep_alives: bool, reasoning: str) -> None:
    world = runtime(
        Settings.model_validate({"upstream": "http://127.0.0.1:1/v1", "store": "none", "reasoning": reasoning})
    )
    tools = [{"type": "function", "name": "run", "parameters": {"type": "object"}}]
    body = {"model": "m", "input": "hi", "stream": True, "tools": tools}
    one = open_exchange(body, {}, world)
    one.begin({})
    before = one.content, one.keep_alives
    one.feed(data)
    assert (one.content > before[0], one.keep_alives > before[1]) == (content, keep_alives)


@pytest.mark.parametrize("start", [b'{"choices": "', b"<html>"])
def test_a_document_without_end_in_place_of_a_stream_fails(monkeypatch: pytest.MonkeyPatch, start: bytes) -> None:
    monkeypatch.setattr(body, "MAX_DOCUMENT", 1000)
    one = exchange()
    one.begin({})
    sent = one.feed(start)
    while not one.ended:
        sent += one.feed(b"x" * 100)
    assert events(sent)[-1]["response"]["error"]["message"].endswith("larger than 1000 bytes.")
