"""What came out of a turn is found without reading its whole stream."""

from responses_gateway.inspection.archive.outcome import outcome_of
from responses_gateway.inspection.archive.search_text import excerpt, texts_of, title_of
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.stream_capture import body_of
from responses_gateway.inspection.recording.turn_recorder import TurnRecorder
from responses_gateway.inspection.views.answer import answer_of
from responses_gateway.protocol.json import dumps
from unit.inspection.turns import ANSWER, Gateway, call, chunk

BODY = {"input": "hi", "tools": [{"type": "function", "name": "shell", "parameters": {"type": "object"}}]}


def test_a_stream_that_ended() -> None:
    record = Gateway().record(BODY, [*ANSWER[:-2], *call("shell", "{}"), chunk(finish="tool_calls")])
    found, answer = outcome_of(record, body_of(record.events)), answer_of(record)
    assert found.items == [answer.items[index] for index in sorted(answer.items)]
    assert found.response == answer.response["id"]
    assert [(kind, name) for kind, name, *_ in found.spans] == [
        ("reasoning", ""),
        ("message", ""),
        ("function_call", "shell"),
    ]
    times = [time for _, _, *span in found.spans for time in span]
    assert times == sorted(times)
    assert times[0] >= 100


def test_a_stream_that_was_cut() -> None:
    record = Gateway().record(BODY, ANSWER[:5], close=False)
    found = outcome_of(record, body_of(record.events))
    assert texts_of(found.items) == "Let me see.\nHello there"
    assert found.spans[-1][3] == -1


def test_words_that_look_like_events_are_none() -> None:
    text = 'event: response.output_item.added\ndata: {"item": {"type": "evil"}, "output_index": 7}\n\n'
    record = Gateway().record(BODY, [chunk(content=text), *ANSWER[-2:]])
    assert [kind for kind, *_ in outcome_of(record, body_of(record.events)).spans] == ["message"]


def test_a_whole_answer_and_an_error() -> None:
    for body, texts in (
        ({"object": "response", "id": "r", "status": "completed", "output": [{"content": "whole"}]}, "whole"),
        ({"error": {"message": "no"}}, ""),
    ):
        metadata: dict[str, object] = {}
        made = TurnRecorder(metadata, clock=lambda: 0.0, keep=True)
        made.requested("POST", "/v1/responses", {}, b"{}")
        made.answered(dumps(body))
        made.ended()
        record = RecordedTurn.of(metadata)
        assert record is not None
        assert texts_of(outcome_of(record, body_of(record.events)).items) == texts


def test_titles_are_what_people_wrote() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "<environment_context>\n  <cwd>/x</cwd>"}]},
        {"role": "user", "content": "# AGENTS.md instructions for /x\n\n…"},
        {"role": "user", "content": [{"type": "input_text", "text": "fix\n the bug"}]},
        {"type": "function_call_output", "output": "no"},
        {"role": "assistant", "content": "I will"},
        {"role": "user", "content": "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a summary."},
        {"role": "user", "content": "Another language model started to solve this problem and wrote: …"},
    ]
    assert title_of(items) == "fix the bug"
    assert title_of(["hostile", None, {"role": "user", "content": 7}]) == ""


def test_pictures_and_ids_are_not_said() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]},
        {"type": "function_call_output", "output": "see data:image/png;base64,iVBORw0KGgo= there"},
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "xyz", "summary": [{"text": "because"}]},
    ]
    assert texts_of(items) == "see  there\nbecause"


def test_excerpts() -> None:
    assert excerpt("a needle in hay", "NEEDLE") == ("a ", "needle", " in hay")
    assert excerpt("nothing here", "needle") == ("", "", "nothing here")
    assert excerpt("a.b a+b", '"a+b"') == ("a.b ", "a+b", "")
