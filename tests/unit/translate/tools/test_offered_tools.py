"""What an upstream is told of tools: which ones, which it must call, and what is lost of the client's choice."""

from typing import Any

import pytest

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import Profile, ReasoningProfile, ToolsProfile
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.offered_tools import without_tools
from unit.machine import ECHO, PATCH, RUN, SEARCH, Json
from unit.translate.request.test_chat_request import called, result, said, translate

LOOK: Json = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
HOSTED: list[Json] = [{"type": "local_shell"}, {"type": "shell"}, {"type": "apply_patch"}, SEARCH]
TOOLS = [RUN, LOOK, {**PATCH, "name": "edit"}, ECHO, *HOSTED]
NAMES = ["run", "look", "edit", "mcp__echo__echo", "local_shell", "shell", "apply_patch", "tool_search"]


def asked(
    choice: Any = None,
    tools: list[Json] = TOOLS,
    profile: ToolsProfile | None = None,
    card: ModelCard | None = None,
    reasoning: ReasoningProfile | None = None,
    **fields: Any,
) -> tuple[Json, list[str]]:
    """What the upstream gets besides messages and model, and the ledger without what the declarations lose."""
    ledger = Ledger()
    of = Profile(name="p", tools=profile or ToolsProfile(), reasoning=reasoning or ReasoningProfile())
    given = {"input": "hi", "tools": tools, "tool_choice": choice, **fields}
    body = translate(of, card, ledger, **{name: value for name, value in given.items() if value is not None}).body
    return {name: body[name] for name in body if name not in ("messages", "model")}, [str(e) for e in ledger.entries]


def names(body: Json) -> list[str]:
    return [tool["function"]["name"] for tool in body.get("tools", ())]


def allowed(mode: str | None, *tools: Json) -> Json:
    return {"type": "allowed_tools", "tools": list(tools), **({"mode": mode} if mode else {})}


def function(name: str) -> Json:
    return {"type": "function", "function": {"name": name}}


def test_all_tools_are_offered_and_nothing_more_is_said() -> None:
    body, ledger = asked()
    assert names(body) == NAMES
    assert set(body) == {"tools"}
    assert ledger == []


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "run"}, function("run")),
        ({"type": "function", "function": {"name": "run"}}, function("run")),
        ({"type": "function", "namespace": "mcp__echo", "name": "echo"}, function("mcp__echo__echo")),
        ({"type": "custom", "name": "edit"}, function("edit")),
        ({"type": "local_shell"}, function("local_shell")),
        ({"type": "shell"}, function("shell")),
        ({"type": "apply_patch"}, function("apply_patch")),
        ({"type": "tool_search"}, function("tool_search")),
    ],
)
def test_a_choice_reaches_the_upstream(choice: Any, sent: Any) -> None:
    body, ledger = asked(choice)
    assert body["tool_choice"] == sent
    assert names(body) == NAMES
    assert ledger == []


@pytest.mark.parametrize(
    "kind", ["web_search", "web_search_preview", "file_search", "image_generation", "computer", "mcp", "apply_patch"]
)
def test_a_choice_of_a_tool_that_nobody_can_serve_is_refused(kind: str) -> None:
    for tools in ([RUN], [RUN, {"type": "file_search"}]):
        refused({"type": kind}, tools, "tool_choice", f"Tool choice '{kind}' cannot be served")


@pytest.mark.parametrize("choice", ["required", {"type": "allowed_tools", "mode": "required", "tools": []}])
@pytest.mark.parametrize("tools", [[{"type": "file_search"}], []])
def test_a_call_that_cannot_be_is_not_asked_for(choice: Any, tools: list[Json]) -> None:
    refused(choice, tools, "tool_choice", "'tool_choice' asks for a call, but")


def test_only_what_nobody_can_serve_is_allowed() -> None:
    hosted = {"type": "file_search"}
    refused(allowed("required", hosted), [RUN, hosted], "tool_choice", "none of the tools that it allows")
    body, ledger = asked(allowed("auto", hosted), [RUN, hosted])
    assert body == {}
    assert "dropped tool_choice.tools[0]: this file_search is not offered to the model here" in ledger


def test_an_allowed_function_that_is_not_declared_is_refused() -> None:
    for mode in ("auto", "required"):
        choice = allowed(mode, LOOK, {"type": "function", "name": "nobody"})
        refused(choice, TOOLS, "tool_choice.tools[1]", "Allowed tool 'nobody' not found")


def refused(choice: Any, tools: list[Json], param: str, words: str) -> None:
    with pytest.raises(GatewayError) as raised:
        asked(choice, tools)
    assert (raised.value.status, raised.value.param) == (400, param)
    assert words in raised.value.message


@pytest.mark.parametrize(
    ("choice", "param", "code", "words"),
    [
        ({"name": "run"}, "tool_choice.type", "missing_required_parameter", "Missing required parameter"),
        ({"type": "function", "name": "other"}, "tool_choice", "invalid_value", "Tool choice 'other' not found"),
        ({"type": "function", "function": {"name": "x"}}, "tool_choice", "invalid_value", "Tool choice 'x' not found"),
        ({"type": "function", "name": "echo"}, "tool_choice", "invalid_value", "Tool choice 'echo' not found"),
        ({"type": "function", "name": "run", "namespace": "a"}, "tool_choice", "invalid_value", "'run' not found"),
        ({"type": "function", "name": "edit"}, "tool_choice", "invalid_value", "Tool choice 'edit' not found"),
        ({"type": "custom", "name": "run"}, "tool_choice", "invalid_value", "Tool choice 'run' not found"),
        ({"type": "allowed_tools", "mode": "auto"}, "tool_choice.tools", "missing_required_parameter", "Missing"),
        ({"type": "allowed_tools", "tools": {}}, "tool_choice.tools", "missing_required_parameter", "Missing"),
        (
            {"type": "allowed_tools", "tools": ["x"]},
            "tool_choice.tools[0].type",
            "missing_required_parameter",
            "Missing",
        ),
        (allowed("auto", {"type": []}), "tool_choice.tools[0].type", "missing_required_parameter", "Missing"),
        (
            {"type": "allowed_tools", "mode": "any", "tools": [LOOK]},
            "tool_choice.mode",
            "invalid_value",
            "'any'. Supported values: 'none', 'auto', 'required'",
        ),
    ],
)
def test_a_choice_of_nothing_is_refused(choice: Json, param: str, code: str, words: str) -> None:
    with pytest.raises(GatewayError) as raised:
        asked(choice)
    assert (raised.value.status, raised.value.param, raised.value.code) == (400, param, code)
    assert words in raised.value.message


CUSTOM = {"type": "custom", "name": "edit"}


@pytest.mark.parametrize(
    ("choice", "offered", "sent"),
    [
        (allowed("auto", LOOK), ["look"], "auto"),
        (allowed(None, LOOK), ["look"], "auto"),
        (allowed("required", LOOK), ["look"], function("look")),
        (allowed("required", LOOK, CUSTOM), ["look", "edit"], "required"),
        (allowed("auto", CUSTOM, LOOK), ["look", "edit"], "auto"),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [LOOK]}}, ["look"], function("look")),
        (allowed("auto", {"type": "shell"}), ["shell"], "auto"),
        (allowed("auto", {"type": "function", "namespace": "mcp__echo", "name": "echo"}), ["mcp__echo__echo"], "auto"),
    ],
)
def test_only_the_allowed_tools_are_offered(choice: Json, offered: list[str], sent: Any) -> None:
    body, ledger = asked(choice)
    assert (names(body), body["tool_choice"]) == (offered, sent)
    assert ledger == [f"dropped tools.{name}: not among the allowed_tools" for name in NAMES if name not in offered]


def test_without_any_allowed_tool_nothing_is_offered() -> None:
    body, ledger = asked(allowed("auto"), [RUN], stream=True, profile=ToolsProfile(stream_extra={"tool_stream": True}))
    assert "tools" not in body
    assert "tool_choice" not in body
    assert "tool_stream" not in body
    assert ledger == ["dropped tools.run: not among the allowed_tools"]


AUTO_ONLY = "changed tool_choice: auto is all that the upstream takes here"
NOT_TAKEN = "dropped tool_choice: the upstream does not take it"


@pytest.mark.parametrize(
    ("profile", "choice", "sent", "note"),
    [
        (ToolsProfile(choice="auto"), None, None, None),
        (ToolsProfile(choice="auto"), "auto", "auto", None),
        (ToolsProfile(choice="auto"), "required", "auto", AUTO_ONLY),
        (ToolsProfile(choice="auto"), {"type": "function", "name": "run"}, "auto", AUTO_ONLY),
        (ToolsProfile(choice="none"), None, None, None),
        (ToolsProfile(choice="none"), "auto", None, None),
        (ToolsProfile(choice="none"), "required", None, NOT_TAKEN),
        (ToolsProfile(choice="none", choice_thinking="auto"), "required", None, NOT_TAKEN),
        (ToolsProfile(choice_required="any"), "required", "any", None),
        (ToolsProfile(choice_required="any"), "none", "none", None),
        (ToolsProfile(choice_required="any"), "auto", "auto", None),
    ],
)
def test_a_choice_is_bounded_by_what_the_upstream_takes(
    profile: ToolsProfile, choice: Any, sent: Any, note: str | None
) -> None:
    body, ledger = asked(choice, [RUN], profile)
    assert body.get("tool_choice") == sent
    assert ledger == ([note] if note else [])


@pytest.mark.parametrize(
    ("limit", "choice", "thinking", "sent"),
    [
        ("auto", "required", True, "auto"),
        ("auto", "required", False, "required"),
        ("auto", "none", True, "none"),
        ("none", "required", True, None),
        ("none", "required", False, "required"),
        ("none", "none", True, "none"),
    ],
)
def test_thinking_bounds_it_further(limit: Any, choice: str, thinking: bool, sent: str | None) -> None:
    thinks = ReasoningProfile(default_on=thinking)
    body, ledger = asked(choice, [RUN], ToolsProfile(choice_thinking=limit), reasoning=thinks)
    assert body.get("tool_choice") == sent
    assert len(ledger) == (sent != choice)


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize(
    ("profile", "card", "taken"),
    [
        (ToolsProfile(), ModelCard(id="m"), True),
        (ToolsProfile(parallel="drop"), ModelCard(id="m"), False),
        (ToolsProfile(), ModelCard(id="m", parallel_tool_calls=False), False),
    ],
)
def test_parallel_calls_are_asked_for_where_that_is_known(
    wanted: bool, profile: ToolsProfile, card: ModelCard, taken: bool
) -> None:
    body, ledger = asked(None, [RUN], profile, card, parallel_tool_calls=wanted)
    assert body.get("parallel_tool_calls") == (wanted if taken else None)
    assert ledger == ([] if taken else ["dropped parallel_tool_calls: the upstream does not take it"])


def test_what_goes_with_streamed_tools_goes_with_them_only() -> None:
    profile = ToolsProfile(stream_extra={"tool_stream": True})
    assert asked(None, [RUN], profile, stream=True)[0]["tool_stream"] is True
    assert "tool_stream" not in asked(None, [RUN], profile)[0]
    assert "tool_stream" not in asked(None, [], profile, stream=True)[0]
    body = translate(Profile(name="p", tools=profile), input="hi", tools=[RUN], stream=True, tool_choice="auto").body
    assert set(body) - set(without_tools(body, profile)) == {"tools", "tool_choice", "tool_stream"}


def test_a_model_that_calls_no_tools_is_told_nothing_of_them() -> None:
    card = ModelCard(id="m", tools=False)
    body, ledger = asked("auto", [RUN], card=card, parallel_tool_calls=True)
    assert body == {}
    assert ledger == ["dropped tools: the model calls no tools"]
    assert asked(None, [], card=card) == ({}, [])
    with pytest.raises(GatewayError, match="the model calls no tools"):
        asked("required", [RUN], card=card)


HISTORY = [
    called("c1"),
    result("c1"),
    called("c2", "gone"),
    result("c2"),
    called("c3"),
    result("c3"),
    said("user", "x"),
]


def test_a_history_with_calls_declares_what_it_calls() -> None:
    body, ledger = asked(None, [], input=HISTORY)
    assert names(body) == ["run", "gone"]
    assert [tool["function"]["parameters"] for tool in body["tools"]] == [{"type": "object", "properties": {}}] * 2
    assert body["tool_choice"] == "none"
    assert ledger == ["added tools: those of the session, not to be called: its history calls them"]


def test_tools_that_were_found_in_the_history_keep_their_declaration() -> None:
    found = {"type": "tool_search_output", "call_id": "s", "execution": "client", "status": "completed", "tools": [RUN]}
    search = {"type": "tool_search_call", "call_id": "s", "execution": "client", "arguments": {}, "status": "completed"}
    body, _ = asked(None, [], input=[search, found, *HISTORY])
    assert names(body) == ["tool_search", "gone", "run"]
    assert body["tools"][-1]["function"]["parameters"] == RUN["parameters"]


@pytest.mark.parametrize(
    "past",
    [
        {"type": "local_shell_call", "id": "x", "action": {"type": "exec", "command": ["ls"]}},
        {"type": "shell_call", "action": {"commands": ["ls"]}},
        {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}},
        {"type": "tool_search_call", "execution": "client", "arguments": {"query": "x"}},
        {"type": "custom_tool_call", "name": "custom", "input": "x"},
    ],
)
def test_a_past_call_has_the_name_of_its_tool(past: Json) -> None:
    kind = past["type"].removesuffix("_call").removesuffix("_tool")
    of_its_kind = {"type": kind, "name": "custom", "execution": "client"}
    namesake = {**RUN, "name": past.get("name", kind)}
    body = translate(tools=[namesake, of_its_kind], input=[{**past, "call_id": "c", "status": "completed"}]).body
    first, second = names(body)
    assert first == namesake["name"] != second
    assert body["messages"][0]["tool_calls"][0]["function"]["name"] == second
