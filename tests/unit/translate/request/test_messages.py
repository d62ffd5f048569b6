"""Messages of the upstream and the ledger together: what is added, moved, joined and left out of a history."""

import hashlib
import json
from typing import Any

import pytest

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import MessagesProfile, Profile, ReasoningProfile
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import CarriedReasoning, seal_reasoning
from responses_gateway.translate.request.messages import EMPTY_RESULT, NO_RESULT
from unit.machine import Json
from unit.translate.request.test_chat_request import IMAGE, called, result, said, thought, translate

USER = said("user", "x")
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "high"}}
DETAIL = "changed input.function_call_output.output.detail: original → high: what the upstream takes"


def sent(
    *items: Json, reasoning: ReasoningProfile | None = None, card: ModelCard | None = None, **rules: Any
) -> tuple[list[Json], list[str]]:
    """The messages for an upstream with these rules, and the ledger."""
    ledger = Ledger()
    profile = Profile(name="p", messages=MessagesProfile(**rules), reasoning=reasoning or ReasoningProfile())
    body = translate(profile, card, ledger, input=list(items)).body
    notes = [str(entry) for entry in ledger.entries if entry.field != "tools"]
    return body["messages"], notes


def test_equal_ids_are_numbered() -> None:
    messages, _ = sent(called("c"), called("c"), called("d"), called("c"), *(result("c", text) for text in "123"))
    ids = [call["id"] for call in messages[0]["tool_calls"]]
    assert ids == ["c", "c_2", "d", "c_3"]
    assert [(one["tool_call_id"], one["content"]) for one in messages[1:]] == [
        ("c", "1"),
        ("c_2", "2"),
        ("d", NO_RESULT),
        ("c_3", "3"),
    ]


@pytest.mark.parametrize(
    ("call_id", "kept"),
    [("abcDEF123", True), ("abcDEF12", False), ("abcDEF1234", False), ("abcDEF_12", False), ("abcDEF12é", False)],
)
def test_some_upstreams_take_ids_of_nine_characters(call_id: str, kept: bool) -> None:
    messages, _ = sent(called(call_id), result(call_id), USER, call_ids="alnum9")
    [call] = messages[0]["tool_calls"]
    assert call["id"] == messages[1]["tool_call_id"]
    assert call["id"] == (call_id if kept else hashlib.sha256(call_id.encode()).hexdigest()[:9])
    assert messages == sent(called(call_id), result(call_id), USER, call_ids="alnum9")[0]
    assert sent(called(call_id), result(call_id), USER)[0][0]["tool_calls"][0]["id"] == call_id


def test_pictures_of_results_follow_in_a_message_of_their_own() -> None:
    text = {"type": "input_text", "text": "see"}
    messages, notes = sent(called("c1"), called("c2"), result("c1", [text, IMAGE, IMAGE]), result("c2", [IMAGE]), USER)
    assert [message["content"] for message in messages[1:3]] == [
        "see\n[2 attachment(s) of this result follow in the next user message.]",
        "[1 attachment(s) of this result follow in the next user message.]",
    ]
    assert messages[3] == {
        "role": "user",
        "content": [
            {"type": "text", "text": "[Attachments of the result of c1:]"},
            PICTURE,
            PICTURE,
            {"type": "text", "text": "[Attachments of the result of c2:]"},
            PICTURE,
        ],
    }
    moved = "changed input.function_call_output.output: images moved to a user message after the results"
    assert {note.replace(" (×2)", "").replace(" (×3)", "") for note in notes} == {DETAIL, moved}


def test_pictures_stay_in_results_where_the_upstream_takes_them() -> None:
    text = {"type": "input_text", "text": "see"}
    messages, notes = sent(called("c1"), result("c1", [text, IMAGE]), USER, tool_images=True)
    assert messages[1] == {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "see"}, PICTURE]}
    assert messages[2] == {"role": "user", "content": "x"}
    assert notes == [DETAIL]
    assert sent(called("c1"), result("c1", [text]), USER, tool_images=True)[0][1]["content"] == "see"


def test_an_empty_result_is_a_note_and_on_the_ledger() -> None:
    messages, notes = sent(called("c1"), result("c1", ""), USER)
    assert messages[1]["content"] == EMPTY_RESULT
    assert notes == ["added input.function_call_output.output: a note instead of an empty result"]


def test_a_call_without_a_result_is_on_the_ledger() -> None:
    messages, notes = sent(called("c1"), USER)
    assert messages[1]["content"] == NO_RESULT
    assert notes == ["added input.function_call: it has no result; a note stands in for it"]


def test_each_result_is_used_once() -> None:
    messages, _ = sent(called("c"), result("c", "one"), called("c"), result("c", "two"), USER)
    assert [one["content"] for one in messages if one["role"] == "tool"] == ["one", "two"]


def test_a_result_may_stand_before_its_call() -> None:
    messages, notes = sent(result("c", "early"), called("c"), USER)
    assert [(one["role"], one["content"]) for one in messages] == [
        ("assistant", None),
        ("tool", "early"),
        ("user", "x"),
    ]
    assert notes == []


def test_a_second_result_of_one_call_is_shown_and_noted() -> None:
    messages, notes = sent(called("c"), result("c", "one"), result("c", "two"), USER)
    assert [(one["role"], one["content"]) for one in messages] == [
        ("assistant", None),
        ("tool", "one"),
        ("user", "Output of a tool call (c):\ntwo"),
        ("user", "x"),
    ]
    assert notes == ["repaired input.function_call_output: the result of no known call; sent as a user message"]


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({}, "Output of a tool call (c9)"),
        ({"name": "goal"}, "Output of goal (c9)"),
        ({"name": "goal", "namespace": "agent"}, "Output of agent.goal (c9)"),
        ({"call_id": None, "name": "goal"}, "Output of goal"),
        ({"call_id": None}, "Output of a tool call"),
    ],
)
def test_a_result_of_no_call_says_whose_it_is(fields: Json, label: str) -> None:
    messages, notes = sent(USER, {**result("c9", "done"), **fields})
    assert messages[1:] == [{"role": "user", "content": f"{label}:\ndone"}]
    assert notes[-1] == "repaired input.function_call_output: the result of no known call; sent as a user message"


def test_a_picture_of_no_call_is_shown_too() -> None:
    messages, _ = sent(USER, result("c9", [IMAGE]))
    assert messages[1]["content"] == [
        {"type": "text", "text": f"Output of a tool call (c9):\n{EMPTY_RESULT}"},
        PICTURE,
    ]


@pytest.mark.parametrize(
    ("item", "note"),
    [
        ({"role": "user", "content": ""}, "dropped input.user: an empty message"),
        ({"role": "user", "content": []}, "dropped input.user: an empty message"),
        ({"role": "system", "content": ""}, "dropped input.system: an empty message"),
        ({"role": "developer", "content": []}, "dropped input.developer: an empty message"),
        ({"role": "assistant", "content": ""}, None),
        (thought("hm"), "dropped input.reasoning: reasoning that led to no answer"),
        ({"type": "hologram"}, "dropped input.hologram: a chat upstream has nothing like this item"),
        (
            {"role": "user", "content": "y", "mood": "glad"},
            "dropped input.message.mood: a chat message has no such field",
        ),
        ({"role": "user", "content": "y", "id": "msg_1", "status": "completed"}, None),
    ],
)
def test_what_says_nothing_is_left_out(item: Json, note: str | None) -> None:
    messages, notes = sent(USER, item)
    assert messages == [
        {"role": "user", "content": "x"},
        *([{"role": "user", "content": "y"}] if "y" in item.values() else []),
    ]
    assert notes == ([note] if note else [])


def test_a_reference_that_nobody_resolved_is_refused() -> None:
    with pytest.raises(GatewayError) as raised:
        sent(USER, {"type": "item_reference", "id": "msg_7"})
    error = raised.value
    assert (error.status, error.code, error.param) == (404, "item_not_found", "input[1].id")
    assert "msg_7" in error.message


def test_one_system_message_is_noted() -> None:
    messages, notes = sent(said("system", "a"), said("developer", "b"), USER, said("developer", "late"), system="first")
    assert [(one["role"], one["content"]) for one in messages] == [
        ("system", "a\n\nb"),
        ("user", "x"),
        ("user", "late"),
    ]
    assert notes == [
        "changed input.developer: joined: the upstream takes one system message",
        "changed input.developer: sent as user: the upstream takes system messages first",
    ]


def test_words_between_a_result_and_a_message_are_noted() -> None:
    for behind, role in ((USER, "user"), (said("system", "s"), "system")):
        messages, notes = sent(called("c1"), result("c1"), behind, bridge="Understood.")
        assert [one["role"] for one in messages] == ["assistant", "tool", "assistant", role]
        assert notes == ["added messages.assistant: words after a tool result: the upstream insists on them"]
    assert [one["role"] for one in sent(USER, USER, bridge="Understood.")[0]] == ["user", "user"]
    assert [one["role"] for one in sent(called("c1"), result("c1"), USER)[0]] == ["assistant", "tool", "user"]


def answer(text: str) -> Json:
    return {"role": "assistant", "content": text}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([thought("a"), answer("1"), thought("b"), answer("2")], [("1", "a", 0), ("2", "b", 0)]),
        ([thought("a"), thought("b"), answer("1")], [("1", "a\n\nb", 0)]),
        ([thought("a"), answer("1"), thought("b"), called("c")], [("1", "a\n\nb", 1)]),
        ([thought("a"), called("c"), thought("b"), called("d")], [(None, "a\n\nb", 2)]),
        ([thought("a"), called("c"), answer("1"), answer("2")], [("1\n\n2", "a", 1)]),
        ([answer("1"), thought("b"), USER], [("1", "b", 0)]),
        ([thought("a"), called("c"), result("c"), thought("b"), answer("1")], [(None, "a", 1), ("1", "b", 0)]),
        ([thought("a"), called("c"), result("c"), called("d"), result("d")], [(None, "a", 1), (None, None, 1)]),
        ([thought("a"), called("c"), result("c"), answer("1"), called("d")], [(None, "a", 1), ("1", None, 1)]),
    ],
)
def test_what_belongs_together_is_one_message(
    items: list[Json], expected: list[tuple[str | None, str | None, int]]
) -> None:
    messages, _ = sent(*items)
    assert [
        (one["content"], one.get("reasoning_content"), len(one.get("tool_calls", ())))
        for one in messages
        if one["role"] == "assistant"
    ] == expected


def carried(text: str = "", **more: Any) -> Json:
    return {"type": "reasoning", "summary": [], "encrypted_content": seal_reasoning(CarriedReasoning(text, **more))}


def test_reasoning_goes_back_in_the_form_of_the_upstream() -> None:
    details = [{"type": "reasoning.text", "text": "hm"}]
    for rule, given, message in (
        (
            ReasoningProfile(replay="parts"),
            carried("hm"),
            [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}],
        ),
        (ReasoningProfile(replay="parts"), carried(details=details), "a"),
    ):
        [first, _], notes = sent(given, answer("a"), USER, reasoning=rule)
        assert first == {"role": "assistant", "content": message}
        assert notes == []
    [first, _, _], _ = sent(carried("hm"), called("c"), USER, reasoning=ReasoningProfile(replay="parts"))
    assert first["content"] == [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
    [first, _], _ = sent(carried("hm"), answer("a"), USER, reasoning=ReasoningProfile(replay="details"))
    assert (first.get("reasoning_content"), first.get("reasoning_details")) == ("hm", None)
    [first, _], _ = sent(
        carried("hm", details=details), answer("a"), USER, reasoning=ReasoningProfile(replay="details")
    )
    assert (first.get("reasoning_content"), first.get("reasoning_details")) == (None, details)


def test_of_a_foreign_thought_its_words_remain() -> None:
    raw = [{"type": "reasoning_text", "text": "raw "}, {"type": "reasoning_text", "text": "words"}]
    summary = [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]
    for fields, text in (({"content": raw, "summary": summary}, "raw words"), ({"summary": summary}, "one\n\ntwo")):
        item = {"type": "reasoning", **fields}
        for envelope, notes in (
            ("gAAAA", ["dropped input.reasoning.encrypted_content: not written by this gateway"]),
            (None, []),
        ):
            [first, _], ledger = sent({**item, "encrypted_content": envelope}, answer("a"), USER)
            assert (first["reasoning_content"], ledger) == (text, notes)


def test_reasoning_that_an_upstream_does_not_take_is_noted() -> None:
    rule = ReasoningProfile(replay="never")
    assert sent(carried("hm"), answer("a"), USER, reasoning=rule)[1] == [
        "dropped input.reasoning: the upstream does not take earlier reasoning"
    ]
    assert sent(answer("a"), USER, reasoning=rule)[1] == []


def test_a_placeholder_of_reasoning_is_noted_where_it_stands() -> None:
    rule = ReasoningProfile(placeholder="-", field="reasoning")
    messages, notes = sent(carried("hm"), answer("a"), answer("b"), USER, reasoning=rule)
    assert [one.get("reasoning") for one in messages] == ["hm", "-", None]
    assert notes == ["added messages.reasoning: a placeholder: the upstream insists on it"]


def test_signatures_are_noted_where_they_are_lost_or_made_up() -> None:
    extra = {"google": {"thought_signature": "s"}}
    items = [carried(calls={"c1": extra}), called("c1"), called("c2"), result("c1"), result("c2"), USER]
    assert sent(*items)[1] == ["dropped input.reasoning: signatures of calls: the upstream does not take them"]
    rule = ReasoningProfile(signatures=True, signature_placeholder="none")
    messages, notes = sent(*items, reasoning=rule)
    assert [call.get("extra_content") for call in messages[0]["tool_calls"]] == [extra, None]
    assert notes == []
    messages, notes = sent(*items[1:], reasoning=rule)
    assert [call.get("extra_content") for call in messages[0]["tool_calls"]] == [
        {"google": {"thought_signature": "none"}},
        None,
    ]
    assert notes == ["added messages.tool_calls: a placeholder signature: the upstream insists on one"]


def test_the_words_of_an_agent_name_it() -> None:
    told = {
        "type": "agent_message",
        "author": "/a",
        "recipient": "/b",
        "content": [{"type": "input_text", "text": "hi"}],
    }
    messages, notes = sent(answer("1"), told, answer("2"))
    assert [one["content"] for one in messages] == ["1", "Message from agent /a to /b:\nhi", "2"]
    assert notes == []


def test_fields_that_are_no_words_are_json() -> None:
    entry = {"type": "local_shell_call", "id": "x", "call_id": "c1", "status": "completed"}
    messages, _ = sent({**entry, "action": {"type": "exec", "command": ["ls"], "env": {}}}, result("c1"), USER)
    assert json.loads(messages[0]["tool_calls"][0]["function"]["arguments"]) == {"command": ["ls"], "env": {}}
    by_id = {"type": "local_shell_call_output", "id": "x", "output": "done"}
    messages, _ = sent({**entry, "call_id": None, "action": {"type": "exec", "command": ["ls"]}}, by_id, USER)
    assert (messages[0]["tool_calls"][0]["id"], messages[1]["content"]) == ("x", "done")
