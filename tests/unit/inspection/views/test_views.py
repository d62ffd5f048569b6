"""What the views say of recorded turns."""

import pytest

from responses_gateway.inspection.recording import turn_recorder
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.views import views
from responses_gateway.upstream.server import Server
from unit.inspection.turns import ANSWER, DONE, SECRET, USAGE, Gateway, call, chunk

ALL_VIEWS = [
    views.conversation,
    views.responses_request,
    views.chat_request,
    views.changes,
    views.answer,
    views.responses_events,
    views.upstream_chunks,
]
TOOL = {"type": "function", "name": "exec_command", "parameters": {"type": "object", "properties": {"cmd": {}}}}


def test_a_conversation_reads_like_one():
    record = Gateway().record(
        {
            "instructions": "Be brief.",
            "tools": [TOOL],
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Look at this:"}, picture(3000)]},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I should run it."}]},
                {
                    "type": "function_call",
                    "name": "exec_command",
                    "call_id": "call_1",
                    "arguments": '{"cmd": "ls\\npwd"}',
                },
                {"type": "function_call_output", "call_id": "call_1", "output": "total 0"},
            ],
        }
    )
    shown = views.conversation(record)
    for wanted in (
        "── instructions ─",
        "    Be brief.",
        "    exec_command(cmd)",
        "── user ─",
        "    Look at this:",
        "[image: image/png, 3 kB]",
        "    I should run it.",
        "── function_call exec_command call_1 ─",
        "    ls\n    pwd",
        "── function_call_output call_1 ─",
        "    total 0",
    ):
        assert wanted in shown
    assert "AAAA" not in shown


def picture(size):
    return {"type": "input_image", "image_url": "data:image/png;base64," + "A" * (size * 4 // 3)}


def test_the_answer_shows_what_came_and_what_it_took():
    shown = views.answer(Gateway().record({"input": "hi", "tools": [TOOL]}, ANSWER))
    assert "completed" in shown
    assert "    Let me see.\n" in shown
    assert shown.count("Let me see.") == 1
    assert "    Hello there!\n" in shown
    assert "41,000 in (40,000 cached), 512 out" in shown
    assert "first byte 100 ms, first token 100 ms, first text 400 ms, total 800 ms" in shown
    assert "731 tokens/s" in shown
    assert "finish_reason stop" in shown


def test_the_answer_shows_a_running_stream():
    shown = views.answer(Gateway().record({"input": "hi"}, ANSWER[:5], close=False))
    assert "in_progress" in shown
    assert "    Hello there\n" in shown
    assert "total –" in shown


def test_the_answer_shows_arguments_while_they_arrive():
    chunks = call("exec_command", '{"cmd": "make', " all")
    shown = views.answer(Gateway().record({"input": "hi", "tools": [TOOL]}, chunks, close=False))
    assert "function_call exec_command call_1" in shown
    assert '{"cmd": "make all' in shown


def test_runs_of_deltas_are_one_line():
    record = Gateway().record({"input": "hi"}, ANSWER)
    events = views.responses_events(record).splitlines()
    deltas = [line for line in events if "output_text.delta" in line]
    assert len(deltas) == 1
    assert deltas[0].startswith("+0.400s … +0.600s  response.output_text.delta [1] ×3 (")
    assert deltas[0].endswith('"Hello there!"')
    assert events[0].startswith("+0.100s  response.created")
    chunks = views.upstream_chunks(record).splitlines()
    assert any(line.startswith("+0.100s … +0.300s  choices[0].delta.reasoning_content ×3") for line in chunks)
    assert any('"Hello there!"' in line for line in chunks)
    assert chunks[-1].endswith("[DONE]")


def test_the_prefix_report_stands_beside_the_cached_tokens():
    gateway = Gateway()
    first = {"prompt_cache_key": "thread", "input": [{"role": "user", "content": "a" * 1000}]}
    gateway.turn(first, ANSWER)
    grown = {**first, "input": [*first["input"], {"role": "user", "content": "b"}]}
    shown = views.changes(gateway.record(grown, ANSWER))
    assert "nothing before was changed; new from messages[1].role" in shown
    assert "40,000 of 41,000 input tokens (97%)" in shown
    changed = {**first, "input": [{"role": "user", "content": "c" * 1000}]}
    assert "first difference: messages[0].content" in views.changes(gateway.record(changed, ANSWER))


def test_the_ledger_is_shown():
    shown = views.changes(Gateway().record({"input": "hi", "tools": [{"type": "web_search"}]}, ANSWER))
    assert "dropped   tools.web_search: " in shown


@pytest.mark.parametrize("view", ALL_VIEWS)
def test_no_view_shows_a_secret(view):
    echo = chunk(content=f"Your key is {SECRET}.")
    record = Gateway().record({"input": f"my key is {SECRET}"}, [echo, chunk(finish="stop"), DONE])
    assert SECRET not in view(record)
    assert "authorization" not in view(record).lower()


@pytest.mark.parametrize("view", ALL_VIEWS)
def test_every_view_works_at_every_moment(view):
    gateway = Gateway()
    for count in range(len(ANSWER) + 1):
        assert view(gateway.record({"input": "hi"}, ANSWER[:count], close=False))


@pytest.mark.parametrize("view", ALL_VIEWS)
def test_every_view_says_so_when_nothing_was_kept(view):
    metadata: dict = {}
    made = turn_recorder.TurnRecorder(metadata, clock=lambda: 0.0)
    made.requested("POST", "/v1/responses", {}, b"{}")
    made.ended()
    record = RecordedTurn.of(metadata)
    assert record is not None
    assert view(record)


@pytest.mark.parametrize("view", ALL_VIEWS)
def test_a_huge_turn_is_cut_and_says_so(view):
    long = [{"role": "user", "content": f"{number} " + "word " * 1000} for number in range(1000)]
    chunks = [chunk(content="token " * 200) for _ in range(2000)]
    record = Gateway().record({"input": long}, [*chunks, chunk(finish="stop", usage=USAGE), DONE])
    shown = view(record)
    assert len(shown) < 1_100_000
    if view in (views.conversation, views.responses_request, views.chat_request, views.answer):
        assert "left out" in shown


def test_a_request_that_is_no_json_is_shown_as_it_came():
    metadata: dict = {}
    made = turn_recorder.TurnRecorder(metadata, clock=lambda: 0.0, keep=True)
    made.requested("POST", "/v1/responses", {}, b"{oops")
    made.answered(b'{"error": {"message": "The request body is not valid JSON"}}')
    made.ended()
    record = RecordedTurn.of(metadata)
    assert record is not None
    assert "{oops" in views.responses_request(record)
    assert "no JSON" in views.conversation(record)
    assert "not valid JSON" in views.answer(record)
    assert record.facts["status"] == "failed"


def test_every_round_is_shown():
    metadata: dict = {}
    made = turn_recorder.TurnRecorder(metadata, clock=lambda: 0.0, keep=True)
    made.requested("POST", "/v1/responses", {}, b'{"input": "hi"}')
    made.round_began("http://a/v1/chat/completions", {}, b'{"first": 1}')
    made.round_answered(400, {"content-type": "application/json"})
    made.received(b'{"error": {"message": "unknown field first"}}')
    made.round_began("http://a/v1/chat/completions", {}, b'{"second": 2}')
    made.round_answered(200, {"content-type": "text/event-stream"})
    made.received(ANSWER[0])
    made.note()
    record = RecordedTurn.of(metadata)
    assert record is not None
    for view in (views.chat_request, views.upstream_chunks):
        assert "══ round 1 of 2 ═" in view(record)
        assert "══ round 2 of 2 ═" in view(record)
    assert '"first": 1' in views.chat_request(record)
    assert "unknown field first" in views.upstream_chunks(record)
    assert "2 upstream requests" in views.changes(record)


def test_the_views_name_a_server_that_said_what_it_is():
    gateway = Gateway()
    [upstream] = gateway.runtime.router.upstreams()
    assert "Server " not in views.changes(gateway.record({"input": "hi"}))
    gateway.runtime.router.identify(upstream, Server("vllm"))
    record = gateway.record({"input": "hi"})
    assert "Server    vllm, by what it says of itself" in views.changes(record)
    assert views.answer(record).startswith("m → m at vllm\n")
    record.facts["provider"] = "gpu"
    assert views.answer(record).startswith("m → m at gpu (vllm)\n")
