"""Tools: lowering a declaration and raising a call of it are inverse."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
