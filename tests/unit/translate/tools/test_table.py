"""Tools: lowering a declaration and raising a call of it are inverse."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from responses_gateway.catalogue.providers.profile import ToolsProfile
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.table import ABOUT_LIMIT, ToolTable
from unit.machine import PATCH, Json

NAME = st.text(alphabet=st.sampled_from("ab_.-é/ 😀"), min_size=1, max_size=8) | st.text(
    alphabet="ab_", min_size=60, max_size=70
)
LEAF = st.builds(lambda kind, name: {"type": kind, "name": name}, st.sampled_from(["function", "custom"]), NAME)
TOOL = LEAF | st.builds(
    lambda name, tools: {"type": "namespace", "name": name, "description": "", "tools": tools},
    NAME,
    st.lists(LEAF, max_size=3),
)


def table(*tools: Json, ledger: Ledger | None = None) -> ToolTable:
    made = ToolTable(ledger or Ledger())
    made.declare(tools, "tools")
    return made


@given(st.lists(TOOL, max_size=8))
def test_raising_a_lowered_name_gives_the_declaration_back(tools: list[Json]) -> None:
    ledger = Ledger()
    made = table(*tools, ledger=ledger)
    declared = {
        (leaf["type"], tool["name"] if "tools" in tool else None, leaf["name"])
        for tool in tools
        for leaf in tool.get("tools", [tool])
    }
    names = [tool["function"]["name"] for tool in made.render(ToolsProfile())]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names)
    assert {made.called(name).identity for name in names} == declared
    assert {made.called(made.wire_name(*identity)).identity for identity in declared} == declared  # type: ignore[arg-type]


@given(st.lists(TOOL, max_size=6), st.lists(TOOL, max_size=3))
def test_further_tools_rename_no_earlier_one(tools: list[Json], more: list[Json]) -> None:
    before = [tool.wire for tool in table(*tools)]
    assert [tool.wire for tool in table(*tools, *more)][: len(before)] == before


def test_a_custom_tool_keeps_its_grammar_in_words() -> None:
    made = table({**PATCH, "description": "Edit files.", "format": {**PATCH["format"], "definition": "start: hunk+"}})
    function = made.render(ToolsProfile())[0]["function"]
    assert "start: hunk+" in function["description"]
    assert list(function["parameters"]["properties"]) == ["input"]


def test_a_hosted_tool_is_recorded() -> None:
    ledger = Ledger()
    made = table({"type": "web_search"}, {"type": "image_generation"}, ledger=ledger)
    assert len(made) == 0
    assert [entry.field for entry in ledger.entries] == ["tools.web_search", "tools.image_generation"]


def test_an_ambiguous_bare_name_is_not_guessed() -> None:
    child = {"type": "function", "name": "echo"}
    made = table(*({"type": "namespace", "name": name, "tools": [child]} for name in ("one", "two")))
    assert made.called("echo").identity == ("function", None, "echo")


def test_calls_of_plain_functions_may_carry_the_default_namespace() -> None:
    made = table({"type": "function", "name": "run"})
    assert made.wire_name("function", "functions", "run") == "run"


def descriptions(made: ToolTable, allowed: set[str] | None = None) -> list[str]:
    return [tool["function"].get("description", "") for tool in made.render(ToolsProfile(), allowed)]


def namespace(name: str, about: Any, *functions: str) -> Json:
    tools = [{"type": "function", "name": each, "description": f"Do {each}."} for each in functions]
    return {"type": "namespace", "name": name, "description": about, "tools": tools}


def test_what_is_said_of_a_namespace_reaches_the_model_once() -> None:
    ledger = Ledger()
    made = table(namespace("a", "Ask a first.", "x", "y"), namespace("b", "", "z"), ledger=ledger)
    assert descriptions(made) == ["About all functions of a: Ask a first.\n\nDo x.", "Do y.", "Do z."]
    assert descriptions(made, {"a__y"}) == ["About all functions of a: Ask a first.\n\nDo y."]
    assert not ledger.entries


def test_what_was_told_stays_when_more_is_declared() -> None:
    first = namespace("a", "Ask a first.", "x")
    made = table(first, first, namespace("a", "Ask a first.", "y"), namespace("a", "Ask it last.", "x", "z"))
    assert descriptions(made) == [
        *descriptions(table(first)),
        "Do y.",
        "About all functions of a: Ask it last.\n\nDo z.",
    ]


@pytest.mark.parametrize("functions", [["x"], []], ids=["again", "empty"])
def test_a_namespace_that_nothing_can_describe_is_recorded(functions: list[str]) -> None:
    ledger = Ledger()
    made = table(namespace("a", "One.", "x"), namespace("a", "Two.", *functions), ledger=ledger)
    assert descriptions(made) == ["About all functions of a: One.\n\nDo x."]
    assert ("dropped", "tools.a.description") in {(entry.action, entry.field) for entry in ledger.entries}


def test_a_long_description_of_a_namespace_is_cut_and_recorded() -> None:
    ledger = Ledger()
    [text] = descriptions(table(namespace("a", "x" * (ABOUT_LIMIT + 1), "y"), ledger=ledger))
    assert text == f"About all functions of a: {'x' * ABOUT_LIMIT}…\n\nDo y."
    assert [(entry.action, entry.field) for entry in ledger.entries] == [("changed", "tools.a.description")]


def test_a_description_of_the_greatest_length_is_sent_whole() -> None:
    ledger = Ledger()
    about = "x" * ABOUT_LIMIT
    assert descriptions(table(namespace("a", about, "y"), ledger=ledger)) == [
        f"About all functions of a: {about}\n\nDo y."
    ]
    assert ledger.entries == []


FUNCTION: Json = {"type": "function", "name": "run", "description": "Run.", "parameters": {"type": "object"}}


@pytest.mark.parametrize(
    ("second", "note"),
    [
        (FUNCTION, "dropped tools.run: declared twice"),
        ({**FUNCTION, "strict": True}, "dropped tools.run: declared twice"),
        (
            {**FUNCTION, "description": "Else."},
            "dropped tools.run: declared again with another content; the first stays",
        ),
        (
            {**FUNCTION, "parameters": {"type": "object", "title": "x"}},
            "dropped tools.run: declared again with another content; the first stays",
        ),
    ],
)
def test_what_is_declared_twice_is_declared_once(second: Json, note: str) -> None:
    ledger = Ledger()
    made = table(FUNCTION, second, ledger=ledger)
    assert [str(entry) for entry in ledger.entries] == [note]
    assert made.render(ToolsProfile()) == table(FUNCTION).render(ToolsProfile())
    assert made.declared == 2


@pytest.mark.parametrize(
    ("tool", "wire", "note"),
    [
        ({"type": "function", "name": "a.b"}, None, "stands for a.b"),
        ({"type": "namespace", "name": "x", "tools": [{"type": "function", "name": "y"}]}, "x__y", None),
        ({"type": "namespace", "name": "x", "tools": [{"type": "function", "name": "y z"}]}, None, "stands for x.y z"),
        ({"type": "function", "name": "n" * 64}, "n" * 64, None),
        ({"type": "function", "name": "n" * 65}, None, f"stands for {'n' * 65}"),
    ],
)
def test_names_that_no_upstream_takes_are_noted(tool: Json, wire: str | None, note: str | None) -> None:
    ledger = Ledger()
    [made] = table(tool, ledger=ledger)
    if wire is not None:
        assert made.wire == wire
    assert [str(entry) for entry in ledger.entries] == ([f"renamed tools.{made.wire}: {note}"] if note else [])
    assert len(made.wire) <= 64


@pytest.mark.parametrize(("wanted", "sent"), [(True, True), (False, False), (None, None)])
def test_strict_goes_where_it_is_taken(wanted: bool | None, sent: bool | None) -> None:
    tool = {**FUNCTION, "strict": wanted}
    assert table(tool).render(ToolsProfile())[0]["function"].get("strict") is sent
    ledger = Ledger()
    assert "strict" not in table(tool, ledger=ledger).render(ToolsProfile(strict="drop"))[0]["function"]
    assert [str(entry) for entry in ledger.entries] == (
        ["dropped tools.run.strict: the upstream does not take it"] if wanted else []
    )


@pytest.mark.parametrize(
    ("wire", "meant"),
    [
        ("mcp__box__open", "mcp__box__open"),
        ("mcp.box.open", "mcp__box__open"),
        ("MCP-Box-Open", "mcp__box__open"),
        ("open", "mcp__box__open"),
        ("functions.mcp__box__open", "mcp__box__open"),
        ("functions.run", "run"),
        ("RUN", "run"),
        ("close", None),
        ("box_open", None),
    ],
)
def test_a_name_in_another_form_means_the_tool(wire: str, meant: str | None) -> None:
    ledger = Ledger()
    box = {"type": "namespace", "name": "mcp__box", "tools": [{"type": "function", "name": "open"}]}
    found = table(FUNCTION, box, ledger=ledger).called(wire)
    assert found.wire == (meant or wire)
    if wire == meant:
        note = []
    elif meant:
        note = [f"repaired output.{wire}: the model meant {meant}"]
    else:
        note = [f"repaired output.{wire}: no tool of this name was offered; passed on as it is"]
    assert [str(entry) for entry in ledger.entries] == note


def test_a_name_of_no_tool_is_no_matter_without_tools() -> None:
    ledger = Ledger()
    assert table(ledger=ledger).called("run").identity == ("function", None, "run")
    assert ledger.entries == []


SCHEMAS: list[tuple[Json, list[Json], list[Json]]] = [
    (
        {"type": "local_shell"},
        [{"command": ["ls", "-l"]}, {"command": [], "working_directory": "/", "timeout_ms": 5}],
        [{}, {"command": "ls"}, {"command": [1]}, {"command": [], "timeout_ms": "5"}, {"command": [], "x": 1}],
    ),
    (
        {"type": "shell"},
        [{"commands": ["ls"]}, {"commands": [], "timeout_ms": 5, "max_output_length": 5}],
        [
            {},
            {"commands": "ls"},
            {"commands": [1]},
            {"commands": [], "max_output_length": "5"},
            {"commands": [], "x": 1},
        ],
    ),
    (
        {"type": "apply_patch"},
        [{"type": "delete_file", "path": "a"}, {"type": "update_file", "path": "a", "diff": "x"}],
        [
            {"path": "a"},
            {"type": "delete_file"},
            {"type": "move", "path": "a"},
            {"type": "create_file", "path": "a", "x": 1},
        ],
    ),
    (
        {"type": "tool_search", "execution": "client"},
        [{"query": "x"}],
        [{}, {"query": 5}],
    ),
    ({"type": "custom", "name": "sed"}, [{"input": "x"}], [{}, {"input": 5}, {"input": "x", "y": 1}]),
]


@pytest.mark.parametrize(("tool", "right", "wrong"), SCHEMAS, ids=[entry[0]["type"] for entry in SCHEMAS])
def test_the_functions_that_stand_for_tools_say_what_they_take(
    tool: Json, right: list[Json], wrong: list[Json]
) -> None:
    [made] = table(tool).render(ToolsProfile())
    validator = Draft202012Validator(made["function"]["parameters"])
    Draft202012Validator.check_schema(made["function"]["parameters"])
    assert made["function"]["parameters"]["type"] == "object"
    assert [one for one in right if not validator.is_valid(one)] == []
    assert [one for one in wrong if validator.is_valid(one)] == []
    assert made["function"]["description"]


@pytest.mark.parametrize(
    ("parameters", "sent"),
    [
        (None, {"type": "object", "properties": {}}),
        ({}, {"type": "object", "properties": {}}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        *(({word: "x"}, {word: "x"}) for word in ("type", "$ref", "anyOf", "oneOf", "allOf")),
    ],
)
def test_the_parameters_of_a_function_are_an_object(parameters: Json | None, sent: Json) -> None:
    [made] = table({"type": "function", "name": "run", "parameters": parameters}).render(ToolsProfile())
    assert made["function"]["parameters"] == sent


HOW = 'How to call it here: put the complete input, unescaped and unfenced, into the string field "input".'


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, HOW),
        ({"description": "Edit."}, f"Edit.\n\n{HOW}"),
        ({"description": 5, "format": {"type": "text"}}, HOW),
        (
            {"format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
            f"The input must match this lark grammar:\nstart: x\n\n{HOW}",
        ),
        (
            {"format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "x+"}}},
            f"The input must match this regex grammar:\nx+\n\n{HOW}",
        ),
    ],
)
def test_what_the_model_is_told_of_a_custom_tool(fields: Json, told: str) -> None:
    [made] = table({"type": "custom", "name": "sed", **fields}).render(ToolsProfile())
    assert made["function"]["description"] == told
    [field] = made["function"]["parameters"]["properties"].values()
    assert field["description"].endswith("matches the grammar.") == ("grammar" in str(fields))
