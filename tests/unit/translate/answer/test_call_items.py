"""The item of each kind of call: its fields, its id, and what is shown of it while it comes."""

import json
from typing import Any

import pytest

from responses_gateway.translate.tools.hosted import HostedResult, Source
from unit.machine import PATCH, RUN, SEARCH, Json, call, check, delta, machine, output, run

OPEN: Json = {"type": "function", "name": "open", "parameters": {"type": "object", "properties": {}}}
BOX: Json = {"type": "namespace", "name": "mcp__box", "description": "", "tools": [OPEN]}
SED: Json = {"type": "custom", "name": "sed"}


def item(name: str, arguments: Any, *tools: Json) -> tuple[Json, list[Json]]:
    """The item of one call whose arguments come in two pieces, and all events of it."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    half = len(text) // 2
    events = run([call(0, name, text[:half], "c1"), call(0, None, text[half:]), delta("tool_calls")], *tools)
    [made] = output(events)
    own = [
        event for event in events if event.get("item_id") == made["id"] or event.get("item", {}).get("id") == made["id"]
    ]
    return made, own


@pytest.mark.parametrize(
    ("name", "arguments", "tool", "fields"),
    [
        ("run", {"cmd": "ls"}, RUN, {"type": "function_call", "name": "run", "arguments": '{"cmd": "ls"}'}),
        (
            "mcp__box__open",
            {},
            BOX,
            {"type": "function_call", "name": "open", "arguments": "{}", "namespace": "mcp__box"},
        ),
        ("sed", {"input": "s/a/b/"}, SED, {"type": "custom_tool_call", "name": "sed", "input": "s/a/b/"}),
        (
            "tool_search",
            {"query": "x"},
            SEARCH,
            {"type": "tool_search_call", "execution": "client", "arguments": {"query": "x"}},
        ),
        (
            "local_shell",
            {"command": ["ls"], "timeout_ms": 5},
            {"type": "local_shell"},
            {"type": "local_shell_call", "action": {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": 5}},
        ),
        (
            "shell",
            {"commands": ["ls"]},
            {"type": "shell"},
            {
                "type": "shell_call",
                "action": {"commands": ["ls"], "timeout_ms": None, "max_output_length": None},
                "environment": None,
            },
        ),
        (
            "apply_patch",
            {"type": "update_file", "path": "a"},
            {"type": "apply_patch"},
            {"type": "apply_patch_call", "operation": {"type": "update_file", "path": "a", "diff": ""}},
        ),
        (
            "apply_patch",
            {"type": "delete_file", "path": "a"},
            {"type": "apply_patch"},
            {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}},
        ),
        (
            "apply_patch",
            {"type": "create_file", "path": "a", "diff": "+x"},
            {"type": "apply_patch"},
            {"type": "apply_patch_call", "operation": {"type": "create_file", "path": "a", "diff": "+x"}},
        ),
        (
            "local_shell",
            "[1]",
            {"type": "local_shell"},
            {"type": "local_shell_call", "action": {"type": "exec", "command": [], "env": {}}},
        ),
    ],
)
def test_each_kind_has_its_fields(name: str, arguments: Any, tool: Json, fields: Json) -> None:
    made, own = item(name, arguments, tool)
    assert made == {"id": made["id"], "status": "completed", "call_id": "c1", **fields}
    added, done = own[0], own[-1]
    assert (added["type"], done["type"]) == ("response.output_item.added", "response.output_item.done")
    assert done["item"] == made
    assert (added["item"]["status"], added["item"]["type"]) == ("in_progress", made["type"])


@pytest.mark.parametrize(
    ("tool", "name", "prefix"),
    [
        (RUN, "run", "fc_"),
        (SED, "sed", "ctc_"),
        (SEARCH, "tool_search", "tsc_"),
        ({"type": "local_shell"}, "local_shell", "lsh_"),
        ({"type": "shell"}, "shell", "sh_"),
        ({"type": "apply_patch"}, "apply_patch", "apc_"),
    ],
)
def test_ids_tell_kinds_apart(tool: Json, name: str, prefix: str) -> None:
    assert item(name, {}, tool)[0]["id"].startswith(prefix)


@pytest.mark.parametrize(
    ("tool", "name", "arguments", "kind", "field", "whole"),
    [
        (RUN, "run", {"cmd": "ls"}, "function_call_arguments", "arguments", '{"cmd": "ls"}'),
        (SED, "sed", {"input": "s/abcdefgh/b/"}, "custom_tool_call_input", "input", "s/abcdefgh/b/"),
    ],
)
def test_arguments_are_shown_as_they_come(
    tool: Json, name: str, arguments: Json, kind: str, field: str, whole: str
) -> None:
    _, own = item(name, arguments, tool)
    deltas = [event["delta"] for event in own if event["type"] == f"response.{kind}.delta"]
    [done] = [event for event in own if event["type"] == f"response.{kind}.done"]
    assert "".join(deltas) == done[field] == whole
    assert len(deltas) == 2
    assert done.get("name") == (name if kind.startswith("function") else None)


@pytest.mark.parametrize("tool", [{"type": "local_shell"}, {"type": "shell"}, {"type": "apply_patch"}, SEARCH])
def test_objects_are_shown_at_once(tool: Json) -> None:
    _, own = item(tool["type"], {"commands": ["ls"], "command": ["ls"], "query": "x"}, tool)
    assert [event["type"] for event in own] == ["response.output_item.added", "response.output_item.done"]


@pytest.mark.parametrize("arguments", [{"cmd": "ls"}, '{"cmd": "ls"}'])
def test_arguments_may_come_as_an_object(arguments: Any) -> None:
    events = run([call(0, "run", arguments, "c1"), delta("tool_calls")], RUN)
    assert json.loads(output(events)[0]["arguments"]) == {"cmd": "ls"}


SOURCES = ["web_search_call.action.sources"]


@pytest.mark.parametrize(("failed", "wants_sources"), [(False, True), (False, False), (True, True)])
def test_a_search_is_shown_from_its_beginning_to_its_result(failed: bool, wants_sources: bool) -> None:
    translator = machine({"type": "web_search"}, web_search=True, include=SOURCES if wants_sources else [])
    events = translator.start() + translator.chunk(call(0, "web_search", '{"query": "why"}', "c1"))
    events += translator.chunk(delta("tool_calls")) + translator.finish(True)
    [search] = translator.hosted_calls
    result = HostedResult("so", [Source("https://a.example/", "A")], failed=failed)
    events += translator.add_hosted_result(search, result)
    translator.next_round()
    events += translator.chunk(delta("stop", content="So.")) + translator.finish(True)
    check(events)
    found = output(events)[0]
    own = [event["type"] for event in events if event.get("item_id") == found["id"]]
    assert own == [
        "response.web_search_call.in_progress",
        "response.web_search_call.searching",
        *([] if failed else ["response.web_search_call.completed"]),
    ]
    sources = {"sources": [{"type": "url", "url": "https://a.example/"}]} if wants_sources else {}
    assert found == {
        "id": found["id"],
        "type": "web_search_call",
        "status": "failed" if failed else "completed",
        "action": {"type": "search", "query": "why", "queries": ["why"], **sources},
    }
    assert found["id"].startswith("ws_")


def test_a_failed_answer_leaves_its_calls_undone() -> None:
    for tool, name in ((RUN, "run"), (PATCH, "apply_patch"), ({"type": "shell"}, "shell")):
        events = run([call(0, name, '{"cmd": "l', "c1"), delta("error")], tool)
        [made] = output(events)
        assert made["status"] == "incomplete"
        assert "response.output_item.done" not in [event["type"] for event in events]


@pytest.mark.parametrize("fence", ["", "```\n"])
def test_a_patch_is_done_with_its_last_line(fence: str) -> None:
    translator = machine(PATCH)
    translator.start()
    patch = f"{fence}*** Begin Patch\n*** Delete File: a\n*** End Patch\n{fence.strip()}"
    shown = translator.chunk(call(0, "apply_patch", json.dumps({"input": patch}), "c1"))
    assert shown[-1]["type"] == "response.output_item.done"
    assert shown[-1]["item"]["input"].strip() == patch.removeprefix(fence).removesuffix(fence.strip()).strip()
    open_ended = machine(PATCH)
    open_ended.start()
    shown = open_ended.chunk(call(0, "apply_patch", json.dumps({"input": patch.replace("*** End Patch\n", "")}), "c1"))
    assert "response.output_item.done" not in [event["type"] for event in shown]


@pytest.mark.parametrize(
    ("chunk_ids", "indexes"),
    [
        (("c1", "c1"), (0, 1)),
        *((chunk_ids, indexes) for chunk_ids in ((None, None), ("", ""), (5, 5)) for indexes in ((0, 1), (None, None))),
    ],
)
def test_ids_of_calls_are_their_own(chunk_ids: tuple[Any, Any], indexes: tuple[int | None, int | None]) -> None:
    first, second = (call(at, "run", "{}", each) for at, each in zip(indexes, chunk_ids, strict=True))
    ids = [made["call_id"] for made in output(run([first, second, delta("tool_calls")], RUN))]
    assert len(set(ids)) == 2
    assert all(ids)
    assert (ids[0] == "c1") == (chunk_ids[0] == "c1")
    assert ids[1].startswith("call_")
