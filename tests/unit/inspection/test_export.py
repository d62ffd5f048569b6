"""Turns as files, and through today's code again."""

import asyncio
import json
import subprocess

import pytest

from responses_gateway.inspection import export
from responses_gateway.inspection.recording import stream_capture
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.stream_capture import StreamCapture
from responses_gateway.inspection.retranslate import report
from responses_gateway.upstream.learned_repairs import LearnedRepairs
from unit.inspection.turns import ANSWER, DONE, SECRET, Gateway, call, chunk

TOOL = {"type": "function", "name": "shell", "parameters": {"type": "object", "properties": {"cmd": {}}}}


@pytest.fixture
def session():
    """Three turns of a session: a call, its result, and one that ends without tools."""
    gateway = Gateway()
    body = {"prompt_cache_key": "thread", "tools": [TOOL]}
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "it's me"}]}]
    first = gateway.record(
        {**body, "input": items}, [*call("shell", '{"cmd": "ls"}'), chunk(finish="tool_calls"), DONE]
    )
    items += [
        {"type": "function_call", "name": "shell", "call_id": "call_1", "arguments": '{"cmd": "ls"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "total 0"},
    ]
    second = gateway.record({**body, "input": items}, ANSWER)
    items += [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello there!"}]}]
    items += [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "it's me"}]}]
    third = gateway.record({"prompt_cache_key": "thread", "input": items}, ANSWER)
    return [first, second, third]


def retranslated(records, wanted=None):
    return asyncio.run(report(records, Gateway().runtime, LearnedRepairs(None, lambda: 0.0), wanted))


def test_a_fixture_holds_both_sides(session):
    made = json.loads(export.fixture(session))
    assert len(made["turns"]) == 3
    turn = made["turns"][1]
    assert turn["request"]["prompt_cache_key"] == "thread"
    assert turn["rounds"][0]["request"]["messages"][-1]["role"] == "tool"
    assert "".join(text for _, text in turn["rounds"][0]["chunks"]) == b"".join(ANSWER).decode()
    assert turn["events"][0][1].startswith("event: response.created")
    assert turn["outcome"]["status"] == "completed"


@pytest.mark.parametrize("make", export.FORMATS.values(), ids=export.FORMATS)
def test_no_export_holds_a_secret(session, make):
    assert SECRET not in make(session)


def test_curl_commands_are_valid_shell(session):
    for make, key in ((export.client_curl, "GATEWAY_KEY"), (export.upstream_curl, "UPSTREAM_KEY")):
        command = f"curl() {{ printf '%s\\n' \"$@\"; cat; }}\n{make(session[:1])}"
        told = subprocess.run(["/bin/sh", "-c", command], env={key: "k"}, capture_output=True, text=True, check=True)
        assert "Authorization: Bearer k" in told.stdout
        assert "it's me" in told.stdout


@pytest.mark.parametrize(
    "text", ["$(touch pwned)", "`touch pwned`", '"; touch pwned; "', "'; touch pwned; '", "\n touch pwned"]
)
def test_no_text_of_a_turn_is_run_by_the_shell(session, tmp_path, text):
    record = session[0]
    record.facts["path"] = f"/v1/responses?{text}"
    record.facts["headers"] = [["x-header", text]]
    record.rounds[0].update(url=f"http://upstream/{text}", headers=[["x-header", text]], body=text.encode())
    for make in (export.client_curl, export.upstream_curl):
        command = f"curl() {{ printf '%s\\n' \"$@\"; cat; }}\n{make([record])}"
        told = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert text in told.stdout
        assert list(tmp_path.iterdir()) == []


def test_a_transcript_tells_everything_once(session):
    lines = [json.loads(line) for line in export.transcript(session).splitlines()]
    assert [(line["turn"], line["item"]["type"]) for line in lines] == [
        (1, "message"),
        (1, "function_call"),
        (2, "function_call_output"),
        (2, "reasoning"),
        (2, "message"),
        (3, "message"),
        (3, "reasoning"),
        (3, "message"),
    ]


def test_unchanged_code_gives_no_difference(session):
    assert retranslated(session) == ["3 turns retranslated: no difference"]


def test_tools_of_the_session_are_remembered_again(session):
    third = json.loads(session[2].rounds[0]["body"])
    assert third["tools"]
    alone = retranslated(session[2:])
    assert "turn 3 (m): the chat request is different" in alone  # it cannot know them
    assert retranslated(session, [2]) == ["1 turns retranslated: no difference"]


def test_a_deliberate_change_is_found(session, monkeypatch):
    monkeypatch.setattr("responses_gateway.translate.tools.table.ToolTable.render", lambda *_: [])
    lines = retranslated(session)
    assert lines[-1] == "3 turns retranslated: 3 different"
    assert any(line.startswith("-") and "shell" in line for line in lines)


def test_a_changed_answer_is_found(session):
    record = session[1]
    changed = StreamCapture()
    for piece in stream_capture.pieces(record.rounds[0]["chunks"]):
        changed.add(piece.at / 1000, piece.data.replace(b" there", b" world"))
    changed.flush(is_end=True)
    record.rounds[0]["chunks"] = changed.data
    lines = retranslated([record])
    assert any("the answer is different" in line for line in lines)
    assert any(line.startswith("+") and "world" in line for line in lines)


def test_a_turn_that_was_not_sent_is_noted():
    record = RecordedTurn({**Gateway().record({"input": "hi"}).facts}, b'{"input": "hi"}', [], None)
    assert retranslated([record])[-1] == "1 turns retranslated: no difference, 1 not compared"
