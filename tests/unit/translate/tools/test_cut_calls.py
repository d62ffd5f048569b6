"""A call that was cut off anywhere never reaches the client as another call that it could carry out."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from responses_gateway.translate.tools.patch import is_patch
from unit.machine import PATCH, SEARCH, Json, call, delta, output, run
from unit.translate.tools.test_patch import GRAMMATICAL
from unit.translate.tools.test_patch import PATCH as PATCH_TEXT

FINISHES = ["stop", "tool_calls", "length", "content_filter", "error", None]
LIMITS = ["length", "content_filter"]

WRITE: Json = {
    "type": "function",
    "name": "write",
    "parameters": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "lines": {"type": "array", "items": {"type": "integer"}}},
        "required": ["path"],
    },
}
PATCH_FUNCTION: Json = {
    "type": "function",
    "name": "apply_patch",
    "parameters": {"type": "object", "properties": {"input": {"type": "string"}}},
}
EXEC: Json = {"type": "custom", "name": "exec"}

CALLS: list[tuple[Json, str, Any]] = [
    (WRITE, "write", {"path": "a\\b", "lines": ["1", 2.0, 3], "mode": {"x": [1.5, None, "é"]}}),
    (PATCH_FUNCTION, "apply_patch", {"input": PATCH_TEXT}),
    (PATCH_FUNCTION, "apply_patch", {"patch": f"```\n{PATCH_TEXT}```"}),
    (PATCH, "apply_patch", {"input": PATCH_TEXT}),
    (PATCH, "apply_patch", {"input": f"apply_patch <<EOF\n{PATCH_TEXT}EOF"}),
    (EXEC, "exec", {"input": 'await run("rm a");\nawait run("rm b");\n'}),
    (EXEC, "exec", "await run('rm a')"),
    (SEARCH, "tool_search", {"query": "x", "limit": 3}),
    ({"type": "shell"}, "shell", {"commands": ["rm a", "rm b"], "timeout_ms": 1}),
    ({"type": "local_shell"}, "local_shell", {"command": ["rm", "a", "b"]}),
    ({"type": "apply_patch"}, "apply_patch", {"type": "create_file", "path": "a", "diff": "+x\n+y\n"}),
]


def executable(events: list[Json]) -> list[Any]:
    """What a client would carry out, of the items that are done."""
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    return [what for item in done if (what := _executed(item)) is not None]


def _executed(item: Json) -> Any:
    match item["type"]:
        case "function_call":
            try:
                arguments = json.loads(item["arguments"])
            except ValueError:
                return None
            if item["name"] == "apply_patch":
                return arguments["input"].strip() if is_patch(arguments.get("input", "")) else None
            return arguments if "path" in arguments else None
        case "custom_tool_call" if item["name"] == "apply_patch":
            return item["input"].strip() if is_patch(item["input"]) else None
        case "custom_tool_call":
            return item["input"]
        case "tool_search_call":
            return item["arguments"]
        case "apply_patch_call":
            return item["operation"]
        case "shell_call" | "local_shell_call":
            return item["action"]
    return None


def answered(tool: Json, name: str, arguments: str, finish: str | None) -> list[Json]:
    events = run([call(0, name, arguments, "c1"), *([delta(finish)] if finish else [])], tool)
    if events[-1]["type"] == "response.failed":
        assert events[-1]["response"]["error"]["message"]
    return events


@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize(("tool", "name", "value"), CALLS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_call_cut_at_any_character(tool: Json, name: str, value: Any, finish: str | None) -> None:
    whole = json.dumps(value)
    expected = executable(answered(tool, name, whole, "tool_calls"))
    assert len(expected) == 1
    for at in range(len(whole)):
        assert executable(answered(tool, name, whole[:at], finish)) in ([], expected), whole[:at]


@pytest.mark.parametrize("tool", [PATCH, PATCH_FUNCTION], ids=["custom", "function"])
@pytest.mark.parametrize("finish", LIMITS)
def test_a_limit_ends_a_patch_whatever_the_server_closes(tool: Json, finish: str) -> None:
    for at in range(len(PATCH_TEXT.strip())):
        assert executable(answered(tool, "apply_patch", json.dumps({"input": PATCH_TEXT[:at]}), finish)) == []


@pytest.mark.parametrize("tool", [PATCH, PATCH_FUNCTION], ids=["custom", "function"])
def test_half_a_line_is_never_the_last_one(tool: Json) -> None:
    for at in range(len(PATCH_TEXT.strip())):
        if not PATCH_TEXT[:at].endswith("\n"):
            assert executable(answered(tool, "apply_patch", json.dumps({"input": PATCH_TEXT[:at]}), "tool_calls")) == []


@pytest.mark.parametrize("tool", [PATCH, PATCH_FUNCTION], ids=["custom", "function"])
def test_a_forgotten_last_line_is_added_when_the_model_went_on_or_ended(tool: Json) -> None:
    forgotten = json.dumps({"input": PATCH_TEXT.removesuffix("*** End Patch\n")})
    expected = [PATCH_TEXT.strip()]
    assert executable(answered(tool, "apply_patch", forgotten, "tool_calls")) == expected
    more = [call(0, "apply_patch", forgotten, "c1"), call(1, "apply_patch", "", "c2"), delta(content="Done.")]
    assert executable(run([*more, delta("length")], tool))[:1] == expected
    glued = [call(0, "apply_patch", forgotten + json.dumps({"input": PATCH_TEXT}), "c1"), delta("length")]
    assert executable(run(glued, tool)) == expected * 2


@pytest.mark.parametrize("tool", [PATCH, PATCH_FUNCTION], ids=["custom", "function"])
@given(patch=GRAMMATICAL, finish=st.sampled_from(FINISHES), data=st.data())
@settings(max_examples=50)
def test_any_patch_cut_anywhere(tool: Json, patch: str, finish: str | None, data: st.DataObject) -> None:
    whole = json.dumps({"input": patch})
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert executable(answered(tool, "apply_patch", cut, finish)) in ([], [patch.strip()])


def test_a_call_without_arguments_that_a_limit_cut_off_is_not_carried_out() -> None:
    [item] = output(run([call(0, "run", "", "c1"), delta("length")], {"type": "function", "name": "run"}))
    assert (item["arguments"], item["status"]) == ("", "incomplete")


def test_a_limit_is_not_worth_another_try() -> None:
    for finish, code in (("length", "invalid_prompt"), ("stop", "server_error")):
        events = run([call(0, "exec", '{"input": "half', "c1"), delta(finish)], EXEC, for_codex=True)
        assert events[-1]["response"]["error"]["code"] == code
        assert "call of exec" in events[-1]["response"]["error"]["message"]


MARKUP = [
    '<tool_call>{"name": "write", "arguments": {"path": "a", "lines": [1]}}</tool_call>',
    "<function=write><parameter=path>a</parameter><parameter=lines>[1]</parameter></function>",
    "<tool_call>write<arg_key>path</arg_key><arg_value>a</arg_value>"
    "<arg_key>lines</arg_key><arg_value>[1]</arg_value></tool_call>",
    '<invoke name="write"><parameter name="path">a</parameter><parameter name="lines">[1]</parameter></invoke>',
    '[TOOL_CALLS]write{"path": "a", "lines": [1]}',
    '<|channel|>commentary to=functions.write<|message|>{"path": "a", "lines": [1]}<|call|>',
]


@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize("markup", MARKUP)
def test_a_written_call_cut_at_any_character(markup: str, finish: str) -> None:
    expected = [{"path": "a", "lines": [1]}]
    assert executable(run([delta(content=markup), delta(finish)], WRITE)) == expected
    for at in range(len(markup)):
        assert executable(run([delta(content=markup[:at]), delta(finish)], WRITE)) in ([], expected), markup[:at]
