"""The computer tool: what the model is offered, what clients get of its calls, and what the model sees then."""

import json
from typing import Any

import pytest

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.shipped import shipped
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.chat_request import translate_request
from unit.machine import RUN, Json, call, delta, output, request, run

COMPUTER: Json = {"type": "computer"}
PREVIEW: Json = {
    "type": "computer_use_preview",
    "display_width": 1024,
    "display_height": 768,
    "environment": "browser",
}
SCREEN = "data:image/png;base64,iVBORw0KGgo="


def called(arguments: Any, tool: Json = COMPUTER) -> tuple[Json, list[str]]:
    """The item of one call, and the ledger."""
    ledger = Ledger()
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    [item] = output(run([call(0, "computer", text, "c1"), delta("tool_calls")], tool, ledger=ledger))
    return item, [str(entry) for entry in ledger.entries if entry.field != "usage"]


def chat(*items: Json, model: ModelCard | None = None, **fields: Any) -> tuple[Json, list[str]]:
    """The chat request for such an input, and the ledger."""
    ledger = Ledger()
    translated = translate_request(
        request(input=[{"role": "user", "content": "Open the mail."}, *items], **{"tools": [COMPUTER], **fields}),
        model="m",
        profile=shipped()["openai"],
        card=model or ModelCard(id="m", modalities=["text", "image"]),
        ledger=ledger,
    )
    return translated.body, [str(entry) for entry in ledger.entries]


def used(call_id: str, *actions: Json) -> list[Json]:
    """A call and its screenshot, as clients send them back."""
    shot = {"type": "computer_screenshot", "image_url": SCREEN}
    return [
        {
            "type": "computer_call",
            "id": f"cu_{call_id}",
            "call_id": call_id,
            "status": "completed",
            "actions": [{**action, "keys": None} for action in actions],
            "pending_safety_checks": [],
        },
        {"type": "computer_call_output", "call_id": call_id, "output": shot},
    ]


def test_the_function_says_how_large_the_screen_is() -> None:
    [offered] = chat(tools=[PREVIEW])[0]["tools"]
    assert offered["function"]["name"] == "computer"
    assert "1024 x 768 pixels. Environment: browser." in offered["function"]["description"]
    assert set(offered["function"]["parameters"]["properties"]) == {"action"}
    [offered] = chat()[0]["tools"]
    assert set(offered["function"]["parameters"]["properties"]) == {"actions"}


@pytest.mark.parametrize("kind", ["computer", "computer_use_preview", "computer_use"])
def test_it_can_be_required(kind: str) -> None:
    body, _ = chat(tools=[RUN, COMPUTER], tool_choice={"type": kind})
    assert body["tool_choice"] == {"type": "function", "function": {"name": "computer"}}


def test_fields_that_mean_nothing_are_noted() -> None:
    assert (
        "dropped tools.display_depth: a chat function has no such field"
        in chat(tools=[PREVIEW | {"display_depth": 3}])[1]
    )
    assert chat(tools=[PREVIEW])[1] == []


def test_a_function_of_the_same_name_stays_what_it_is() -> None:
    names = [tool["function"]["name"] for tool in chat(tools=[{**RUN, "name": "computer"}, COMPUTER])[0]["tools"]]
    assert names[0] == "computer"
    assert names[1] != "computer"


@pytest.mark.parametrize(
    "action",
    [
        {"type": "click", "button": "right", "x": 1, "y": 2},
        {"type": "click", "button": "left", "x": 1, "y": 2, "keys": ["CTRL"]},
        {"type": "double_click", "x": 1, "y": 2},
        {"type": "drag", "path": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]},
        {"type": "keypress", "keys": ["CTRL", "A"]},
        {"type": "move", "x": 1, "y": 2},
        {"type": "screenshot"},
        {"type": "scroll", "x": 1, "y": 2, "scroll_x": 0, "scroll_y": 300},
        {"type": "type", "text": "hello"},
        {"type": "wait"},
    ],
    ids=lambda action: action["type"],
)
def test_actions_stay_what_they_are(action: Json) -> None:
    item, ledger = called({"actions": [action]})
    assert (item["type"], item["actions"], item["call_id"]) == ("computer_call", [action], "c1")
    assert item["pending_safety_checks"] == []
    assert ledger == []
    assert called({"action": action}, PREVIEW)[0]["action"] == action


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"actions": [{"type": "click", "x": "10", "y": 20.0}]}, {"type": "click", "button": "left", "x": 10, "y": 20}),
        ({"actions": {"type": "wait"}}, {"type": "wait"}),
        ({"type": "move", "x": 10.6, "y": 20}, {"type": "move", "x": 11, "y": 20}),
        (
            {"action": "left_click", "coordinate": [10, 20]},
            {"type": "click", "button": "left", "x": 10, "y": 20},
        ),
        ({"actions": [{"action": "key", "text": "ctrl+a"}]}, {"type": "keypress", "keys": ["ctrl", "a"]}),
        (
            {"actions": [{"type": "scroll", "x": 1, "y": 2, "scroll_y": 9}]},
            {"type": "scroll", "x": 1, "y": 2, "scroll_x": 0, "scroll_y": 9},
        ),
        (
            {"actions": [{"type": "left_click_drag", "start_coordinate": [1, 2], "coordinate": [3, 4]}]},
            {"type": "drag", "path": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]},
        ),
    ],
)
def test_actions_in_other_words(written: Json, meant: Json) -> None:
    item, ledger = called(written)
    assert item["actions"] == [meant]
    assert ledger
    assert all(entry.startswith("repaired output.computer.arguments") for entry in ledger)


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"actions": []},
        {"actions": [{"type": "fly"}]},
        {"actions": [{"type": "click"}]},
        {"actions": [{"type": "click", "x": 1e999, "y": 1}]},
        {"actions": [{"type": "click", "x": 10**400, "y": 1}]},
        {"actions": [{"type": ["click"], "x": 1, "y": 1}]},
        {"actions": [{"type": "click", "button": {"left": 1}, "x": 1, "y": 1}]},
        {"actions": [{"type": "drag", "path": [5, None]}]},
        {"actions": [{"type": "keypress", "keys": []}]},
        {"actions": [{"type": "type"}]},
        {"actions": [5, None, "x", [[]]]},
        {"actions": "rm -rf /"},
        "nothing but words",
    ],
    ids=str,
)
def test_a_call_that_nobody_can_carry_out_shows_the_screen(nonsense: Any) -> None:
    item, ledger = called(nonsense)
    assert item["actions"] == [{"type": "screenshot"}]
    assert "repaired output.computer.arguments: a screenshot instead" in ledger[-1]
    assert called(nonsense, PREVIEW)[0]["action"] == {"type": "screenshot"}


def test_what_can_be_done_of_a_call_is_done() -> None:
    item, ledger = called({"actions": [{"type": "fly"}, {"type": "wait"}]})
    assert item["actions"] == [{"type": "wait"}]
    assert "left out" in ledger[0]
    item, ledger = called({"actions": [{"type": "wait"}] * 200})
    assert len(item["actions"]) == 100
    assert "only the first 100 of 200" in ledger[0]
    assert (
        "only the first of 2 actions" in called({"action": [{"type": "wait"}, {"type": "screenshot"}]}, PREVIEW)[1][-1]
    )


def test_a_call_that_was_cut_off_is_not_handed_on() -> None:
    events = run([call(0, "computer", '{"actions": [{"type": "cl', "c1"), delta("length")], COMPUTER)
    assert events[-1]["type"] == "response.failed"


def test_the_model_sees_the_screen() -> None:
    body, ledger = chat(*used("c1", {"type": "screenshot"}))
    _, asked, result, shown = body["messages"]
    assert asked["tool_calls"][0]["function"] == {
        "name": "computer",
        "arguments": '{"actions":[{"type":"screenshot"}]}',
    }
    assert result["tool_call_id"] == "c1"
    assert shown["content"][1] == {"type": "image_url", "image_url": {"url": SCREEN}}
    assert not any(entry.startswith("dropped") for entry in ledger)


def test_a_model_without_eyes_is_told_so() -> None:
    body, ledger = chat(*used("c1", {"type": "screenshot"}), model=ModelCard(id="m", modalities=["text"]))
    assert body["messages"][-1]["content"] == "[image omitted: the model takes no images]"
    assert "dropped input.computer_call_output.output.image: the model takes no images" in ledger


def test_what_was_sent_stays_as_it_was() -> None:
    items: list[Json] = []
    before: list[Json] = []
    for number in range(5):
        items += used(f"c{number}", {"type": "click", "button": "left", "x": number, "y": 1})
        messages = chat(*items)[0]["messages"]
        assert messages[: len(before)] == before
        before = messages


@pytest.mark.parametrize(
    "items",
    [
        used("c1", {"type": "wait"})[:1],
        used("c1", {"type": "wait"})[1:],
        [*used("c1", {"type": "wait"}), *used("c1", {"type": "wait"})],
        [{"type": "computer_call", "call_id": "c1"}, {"type": "computer_call_output", "call_id": "c1"}],
        [{"type": "computer_call_output", "call_id": "c1", "output": {"image_url": 5}}],
        [{"type": "computer_call_output", "name": [5], "namespace": {}}],
    ],
)
def test_wrong_pairs_are_no_crash(items: list[Json]) -> None:
    messages = chat(*items)[0]["messages"]
    calls = [one["id"] for message in messages for one in message.get("tool_calls", ())]
    assert [message["tool_call_id"] for message in messages if message["role"] == "tool"] == calls


def test_acknowledged_checks_are_noted() -> None:
    [asked, shown] = used("c1", {"type": "wait"})
    _, ledger = chat(asked, {**shown, "acknowledged_safety_checks": [{"id": "x"}]})
    assert "dropped input.computer_call_output.acknowledged_safety_checks: no check was pending" in ledger
