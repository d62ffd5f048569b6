"""Items of MCP servers in the history: their content stays for the model, wherever they come from."""

from typing import Any

import pytest

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.shipped import shipped
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import CarriedReasoning, seal_reasoning
from responses_gateway.translate.request.chat_request import translate_request
from responses_gateway.translate.request.hosted_results import hosted_result_entry
from unit.machine import request

Json = dict[str, Any]

ASKED: Json = {"role": "user", "content": "2 + 3?"}
LIST: Json = {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "desk", "tools": [{"name": "add"}]}
CALL: Json = {"type": "mcp_call", "server_label": "desk", "name": "add", "arguments": '{"a":2}'}
QUESTION: Json = {**CALL, "type": "mcp_approval_request", "id": "mcpr_1"}


def messages(*items: Json) -> tuple[list[Any], list[str]]:
    """What the model gets behind the question, and the ledger."""
    ledger = Ledger()
    made = translate_request(
        request(input=[ASKED, *items]),
        model="m",
        profile=shipped()["openai"],
        card=ModelCard(id="m"),
        ledger=ledger,
    ).body["messages"]
    return made[1:], [f"{entry.action} {entry.field}" for entry in ledger.entries]


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        ({"output": "5"}, "5"),
        ({"output": None, "error": "out of paper"}, "out of paper"),
        ({"error": {"type": "mcp_protocol_error", "code": -32000, "message": "no paper"}}, "no paper"),
        (
            {
                "error": {
                    "type": "mcp_tool_execution_error",
                    "content": [{"type": "text", "text": "no"}, {"text": "ink"}],
                }
            },
            "no\nink",
        ),
        ({"error": {"type": "mcp_tool_execution_error", "content": {"odd": 1}}}, '{"odd":1}'),
    ],
)
def test_a_call_and_its_result(outcome: Json, text: str) -> None:
    [call, result], noted = messages(LIST, {**CALL, "id": "mcp_1", **outcome})
    [made] = call["tool_calls"]
    assert made == {"id": "mcp_1", "type": "function", "function": {"name": "desk__add", "arguments": '{"a":2}'}}
    assert result == {"role": "tool", "tool_call_id": "mcp_1", "content": text}
    assert noted == ["added tools"]


def test_calls_without_ids_stay_what_they_were() -> None:
    first, _ = messages(LIST, {**CALL, "output": "5"})
    both, _ = messages(LIST, {**CALL, "output": "5"}, {**CALL, "output": "6"}, ASKED)
    assert both[: len(first)] == first
    assert [message["role"] for message in both] == ["assistant", "tool", "assistant", "tool", "user"]
    assert len({message["tool_call_id"] for message in both if message["role"] == "tool"}) == 2


def test_an_approved_call_is_one_call() -> None:
    answer = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
    carried_out = {**CALL, "id": "mcp_1", "approval_request_id": "mcpr_1", "output": "5"}
    [call, result], _ = messages(QUESTION, answer, carried_out)
    assert [one["id"] for one in call["tool_calls"]] == ["mcpr_1"]
    assert (result["tool_call_id"], result["content"]) == ("mcpr_1", "5")


@pytest.mark.parametrize(("reason", "text"), [(None, "call."), ("too dear", "The reason: too dear")])
def test_a_call_that_was_not_approved(reason: str | None, text: str) -> None:
    answer = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False, "reason": reason}
    [_, result], _ = messages(QUESTION, answer)
    assert result["content"].startswith("The user did not approve this call.")
    assert result["content"].endswith(text)


def test_a_result_whose_question_is_gone_is_a_call_of_its_own() -> None:
    [call, result], _ = messages({**CALL, "id": "mcp_1", "approval_request_id": "mcpr_gone", "output": "5"})
    assert call["tool_calls"][0]["id"] == result["tool_call_id"] == "mcp_1"


def test_results_without_ids_are_told_apart_by_their_kind() -> None:
    """Of two tools that the gateway carried out in one round, when the client drops the ids of all items."""
    search = hosted_result_entry("web_search_call", "ws_1", "call_1", "web_search", "{}", "found")
    added = hosted_result_entry("mcp_call", "mcp_1", "call_2", "desk__add", "{}", "5")
    sealed = seal_reasoning(CarriedReasoning(hosted_results=[search, added]))
    reasoning = {"type": "reasoning", "summary": [], "encrypted_content": sealed}
    [call, first, second], _ = messages({**CALL, "output": "5"}, {"type": "web_search_call"}, reasoning)
    assert [one["id"] for one in call["tool_calls"]] == ["call_2", "call_1"]
    assert (first["content"], second["content"]) == ("5", "found")
