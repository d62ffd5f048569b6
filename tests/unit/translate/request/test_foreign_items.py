"""Items of tools that another server carried out: their content stays for the model."""

from typing import Any

import pytest

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.shipped import shipped
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import CarriedReasoning, seal_reasoning
from responses_gateway.translate.request import foreign_items
from responses_gateway.translate.request.chat_request import translate_request
from responses_gateway.translate.request.configuration_updates import with_updates
from responses_gateway.translate.request.hosted_results import hosted_result_entry
from unit.machine import request

Json = dict[str, Any]

ASKED: Json = {"role": "user", "content": "Go on."}
PICTURE = "iVBORw0KGgoAAAA="
SEEN = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}
MADE: Json = {
    "type": "image_generation_call",
    "id": "ig_1",
    "status": "completed",
    "result": PICTURE,
    "revised_prompt": "A cat.",
}
PROGRAM: Json = {"type": "program", "id": "p", "call_id": "p1", "code": "1+1", "fingerprint": "x"}


def messages(*items: Json, sees: bool = True) -> tuple[list[Json], list[str]]:
    """What the model gets behind the question, and the ledger."""
    ledger = Ledger()
    card = ModelCard(id="m", modalities=["text", "image"] if sees else ["text"])
    asked = request(input=[ASKED, *items])
    body = translate_request(asked, model="m", profile=shipped()["openai"], card=card, ledger=ledger).body
    return body["messages"][1:], [str(entry) for entry in ledger.entries]


@pytest.mark.parametrize(
    ("item", "name", "arguments", "result"),
    [
        (
            {
                "type": "file_search_call",
                "id": "fs_1",
                "queries": ["paper"],
                "results": [{"filename": "a.txt", "text": "In the drawer."}, {"file_id": "f", "text": "Or not."}],
            },
            "file_search",
            '{"queries":["paper"]}',
            "[a.txt]\nIn the drawer.\n\n[f]\nOr not.",
        ),
        (
            {"type": "file_search_call", "id": "fs_1", "queries": ["paper"], "results": None},
            "file_search",
            '{"queries":["paper"]}',
            "[What was found did not come back with this call.]",
        ),
        (
            {
                "type": "code_interpreter_call",
                "id": "ci_1",
                "code": "print(2)",
                "outputs": [{"type": "logs", "logs": "2"}, {"type": "logs", "logs": "3"}],
                "container_id": "c",
            },
            "code_interpreter",
            '{"code":"print(2)"}',
            "2\n3",
        ),
        (
            {"type": "code_interpreter_call", "id": "ci_1", "code": "pass", "outputs": None},
            "code_interpreter",
            '{"code":"pass"}',
            "[The result is empty.]",
        ),
        (
            {
                "type": "web_search_call",
                "id": "ws_1",
                "action": {
                    "type": "search",
                    "query": "paper",
                    "queries": ["paper"],
                    "sources": [{"type": "url", "url": "https://a.example/"}],
                },
            },
            "web_search",
            '{"query":"paper"}',
            "https://a.example/",
        ),
        (
            {"type": "web_search_call", "id": "ws_1", "action": {"type": "open_page", "url": "https://a.example/"}},
            "open_page",
            '{"url":"https://a.example/"}',
            "[What was found did not come back with this call.]",
        ),
    ],
)
def test_a_call_and_its_result(item: Json, name: str, arguments: str, result: str) -> None:
    [asked, answered], _ = messages(item)
    assert asked["tool_calls"] == [
        {"id": item["id"], "type": "function", "function": {"name": name, "arguments": arguments}}
    ]
    assert (answered["role"], answered["tool_call_id"], answered["content"]) == ("tool", item["id"], result)


@pytest.mark.parametrize(
    ("status", "words"), [("failed", "This call failed."), ("incomplete", "This call was cut off.")]
)
@pytest.mark.parametrize(
    ("item", "before"),
    [
        ({"type": "file_search_call", "id": "f", "queries": ["a"]}, ""),
        (
            {"type": "code_interpreter_call", "id": "c", "code": "1", "outputs": [{"type": "logs", "logs": "so far"}]},
            "",
        ),
        ({"type": "program_output", "id": "o", "call_id": "p1", "result": "so far"}, "so far\n"),
    ],
)
def test_the_model_is_told_of_a_call_that_did_not_end_well(item: Json, before: str, status: str, words: str) -> None:
    [_, result], _ = messages(*([PROGRAM] if item["type"] == "program_output" else []), {**item, "status": status})
    assert result["content"].startswith(f"{before}[{words}]")


def test_a_plot_of_the_code_interpreter_is_seen() -> None:
    plot = {"type": "image", "url": f"data:image/png;base64,{PICTURE}"}
    [_, _, shown], _ = messages({"type": "code_interpreter_call", "id": "c", "code": "plot()", "outputs": [plot]})
    assert shown["content"][1] == SEEN


def test_a_program_and_what_it_called() -> None:
    caller = {"type": "program", "caller_id": "p1"}
    seen, ledger = messages(
        PROGRAM,
        {"type": "function_call", "call_id": "f1", "name": "run", "arguments": "{}", "caller": caller},
        {"type": "function_call_output", "call_id": "f1", "output": "2"},
        {"type": "program_output", "id": "o", "call_id": "p1", "result": "done", "status": "completed"},
    )
    assert [one["function"]["name"] for one in seen[0]["tool_calls"]] == ["program", "run"]
    assert [message["content"] for message in seen[1:]] == ["done", "2"]
    assert "dropped input.program.fingerprint: a chat message has no such field" in ledger


def test_what_agents_were_asked() -> None:
    [asked, answered], _ = messages(
        {"type": "multi_agent_call", "call_id": "m1", "action": "spawn_agent", "arguments": '{"task":"x"}'},
        {
            "type": "multi_agent_call_output",
            "call_id": "m1",
            "action": "spawn_agent",
            "output": [{"type": "output_text", "text": "spawned", "annotations": []}],
        },
    )
    assert asked["tool_calls"][0]["function"] == {"name": "spawn_agent", "arguments": '{"task":"x"}'}
    assert answered["content"] == "spawned"


def test_a_picture_that_was_made_is_seen() -> None:
    [shown], _ = messages(MADE)
    assert shown["role"] == "user"
    assert shown["content"] == [{"type": "text", "text": "[A picture that you made. It shows: A cat.]"}, SEEN]


def test_a_model_without_eyes_is_told_of_a_picture() -> None:
    [shown], ledger = messages(MADE, sees=False)
    assert shown["content"].endswith("[image omitted: the model takes no images]")
    assert any(entry.startswith("dropped input.content.image") for entry in ledger)


def test_a_picture_that_was_not_made() -> None:
    failed = {**MADE, "result": None, "status": "failed", "error": {"message": "not allowed"}}
    [shown], _ = messages(failed)
    assert "was not made: not allowed" in shown["content"]


def test_a_picture_that_is_too_large_to_be_sent_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_items, "PICTURE_LIMIT", 4)
    [shown], ledger = messages(MADE)
    assert "too large" in shown["content"]
    assert any(entry.startswith("dropped input.image_generation_call.result") for entry in ledger)


def test_a_picture_that_the_gateway_made_is_the_result_of_its_call() -> None:
    entry = hosted_result_entry("image_generation_call", "ig_1", "c1", "image_generation", '{"prompt":"x"}', "Made.")
    reasoning = {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": seal_reasoning(CarriedReasoning(hosted_results=[entry])),
    }
    [asked, answered, shown], _ = messages(MADE, reasoning)
    assert asked["tool_calls"][0]["function"] == {"name": "image_generation", "arguments": '{"prompt":"x"}'}
    assert answered["content"].startswith("Made.")
    assert shown["content"][1] == SEEN


def test_a_call_whose_item_is_left_out_stays_with_its_result() -> None:
    names = ("one", "two")
    entries = [hosted_result_entry("mcp_call", name, f"c_{name}", f"desk__{name}", "{}", name) for name in names]
    sealed = seal_reasoning(CarriedReasoning(hosted_results=entries))
    reasoning = {"type": "reasoning", "summary": [], "encrypted_content": sealed}
    call = {"type": "mcp_call", "server_label": "desk", "arguments": "{}", "output": "x"}
    kept, _ = messages(*[{**call, "id": name, "name": name} for name in names], reasoning)
    assert messages(reasoning)[0] == kept
    assert [one["id"] for one in kept[0]["tool_calls"]] == ["c_one", "c_two"]


def test_pictures_of_a_result_travel_with_it() -> None:
    url = SEEN["image_url"]["url"]
    entry = hosted_result_entry("mcp_call", "mcp_1", "c1", "desk__look", "{}", "Seen.", [url])
    reasoning = {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": seal_reasoning(CarriedReasoning(hosted_results=[entry])),
    }
    call = {"type": "mcp_call", "id": "mcp_1", "server_label": "desk", "name": "look", "arguments": "{}"}
    [_, answered, shown], _ = messages({**call, "output": "Seen."}, reasoning)
    assert answered["content"].startswith("Seen.")
    assert shown["content"][1] == SEEN


ALL: list[Json] = [
    {"type": "file_search_call", "queries": ["a"]},
    {"type": "code_interpreter_call", "code": "a"},
    {"type": "web_search_call", "action": {"type": "search", "query": "a"}},
    MADE,
    PROGRAM,
    {"type": "program_output", "call_id": "p1", "result": "done"},
    {"type": "multi_agent_call", "call_id": "m1", "action": "wait_agent", "arguments": "{}"},
    {"type": "multi_agent_call_output", "call_id": "m2", "output": []},
    {"type": "configuration_update", "reasoning": {"effort": "low"}},
]


def test_what_was_sent_stays_as_it_was() -> None:
    before: list[Json] = []
    for number in range(1, 4):
        seen, _ = messages(
            *[part for _ in range(number) for part in (*ALL, {"role": "assistant", "content": "Yes."}, ASKED)]
        )
        assert seen[: len(before)] == before
        before = seen


@pytest.mark.parametrize("item", ALL, ids=lambda item: item["type"])
@pytest.mark.parametrize("twice", [False, True])
def test_wrong_pairs_are_no_crash(item: Json, twice: bool) -> None:
    seen, _ = messages(*[item] * (1 + twice))
    for at, message in enumerate(seen):
        if calls := message.get("tool_calls"):
            behind = [one.get("tool_call_id") for one in seen[at + 1 : at + 1 + len(calls)]]
            assert behind == [one["id"] for one in calls]


def test_an_update_changes_the_settings() -> None:
    ledger = Ledger()
    format = {"type": "json_schema", "name": "x", "schema": {"type": "object"}}
    asked = request(
        input=[
            ASKED,
            {"type": "configuration_update", "reasoning": {"effort": "low"}, "text": {"format": format}},
            {"type": "configuration_update", "reasoning": {"effort": "high", "summary": "auto"}},
        ],
        reasoning={"effort": "medium", "summary": "auto"},
    )
    changed = with_updates(asked, ledger)
    assert changed.reasoning is not None
    assert changed.text is not None
    assert (changed.reasoning.effort, changed.reasoning.summary) == ("high", "auto")
    assert changed.text.format == format
    assert [entry.field for entry in ledger.entries] == ["input.configuration_update.reasoning.summary"]
