"""apply_patch as a function: right arguments are never touched; wrong ones are mended as the custom tool's input is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.patch_arguments import PatchArguments
from unit.chunks import cut, every_chunking, joined
from unit.machine import Json, call, delta, machine, run
from unit.translate.tools.test_patch import GRAMMATICAL, INNER, PATCH


def patched(pieces: list[str], field: str = "input") -> tuple[str, list[str]]:
    stream = PatchArguments(field)
    return joined(stream.feed, stream.finish, pieces), stream.repairs


@given(GRAMMATICAL, st.booleans(), st.sampled_from([None, 1]), st.data())
def test_right_arguments_come_out_as_they_were(
    patch: str, ascii_only: bool, indent: int | None, data: st.DataObject
) -> None:
    arguments = json.dumps({"input": patch}, ensure_ascii=ascii_only, indent=indent)
    assert patched(cut(data.draw, arguments)) == (arguments, [])


@pytest.mark.parametrize(
    ("arguments", "repair"),
    [
        (json.dumps({"input": PATCH.removesuffix("*** End Patch\n")}), 'added missing "*** End Patch"'),
        (json.dumps({"input": INNER}), "missing first or last line added"),
        (json.dumps({"input": f"```diff\n{PATCH}```"}), "taken out of a code fence"),
        (json.dumps({"input": f"apply_patch <<'EOF'\n{PATCH}EOF"}), "taken out of a shell heredoc"),
        (json.dumps({"input": json.dumps({"input": PATCH})}), "taken out of JSON"),
        (json.dumps({"input": PATCH + "```"}), 'dropped text after "*** End Patch"'),
        (json.dumps({"input": {"patch": PATCH}}), "taken out of JSON"),
        (json.dumps({"patch": PATCH}), 'field "patch" taken for "input"'),
        (json.dumps({"patch": f"```\n{PATCH}```"}), "taken out of a code fence"),
        (json.dumps({"command": ["apply_patch", PATCH]}), "taken out of JSON"),
        (json.dumps(json.dumps({"input": PATCH})), "JSON within a string taken out of it"),
        (json.dumps(PATCH), 'JSON string instead of {"input": …}'),
        (PATCH, 'text instead of {"input": …} taken as it is'),
        (f"```\n{PATCH}```", "taken out of a code fence"),
    ],
)
def test_wrong_arguments_are_mended(arguments: str, repair: str) -> None:
    chunkings = every_chunking(arguments)
    for pieces in (chunkings[0], chunkings[len(chunkings) // 2], chunkings[-1]):
        out, repairs = patched(pieces)
        answer = json.loads(out)
        assert list(answer) == ["input"]
        assert answer["input"].strip() == PATCH.strip()
        assert repair in repairs


@pytest.mark.parametrize(
    "arguments", ['{"input": "hello"}', '{"input": 1}', '{"path": "a", "diff": "-a"}', '{"input": "*** Begin', "[1]"]
)
def test_what_is_not_recognised_passes_unchanged(arguments: str) -> None:
    assert patched([arguments]) == (arguments, [])


def test_newlines_that_the_model_did_not_escape() -> None:
    patch = "*** Begin Patch\n*** Add File: a\n+\tx\n*** End Patch\n"
    out, repairs = patched([f'{{"input": "{patch}"}}'])
    assert json.loads(out) == {"input": patch}
    assert repairs == ["characters escaped that JSON does not take as they are"]


def test_other_arguments_are_kept() -> None:
    out, _ = patched([json.dumps({"why": "because", "input": INNER})])
    assert json.loads(out) == {"why": "because", "input": f"*** Begin Patch\n{INNER}*** End Patch\n"}


def test_no_arguments() -> None:
    assert patched(["", " "]) == ("{}", ["empty arguments -> {}"])


def declaration(**properties: Json) -> Json:
    return {"type": "function", "name": "apply_patch", "parameters": {"type": "object", "properties": properties}}


BY_PATCH = declaration(patch={"type": "string"})
WRONG = json.dumps({"input": INNER})


def calls_of(events: list[Json]) -> list[str]:
    return [item["arguments"] for item in events[-1]["response"]["output"] if item["type"] == "function_call"]


def test_the_field_is_the_declared_one_and_the_ledger_tells() -> None:
    ledger = Ledger()
    translator = machine(BY_PATCH, ledger=ledger)
    events = translator.chunk(call(0, "apply_patch", WRONG, "c1"))
    counted = {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
    events += translator.chunk({**delta("tool_calls"), **counted}) + translator.finish(done=True)
    [arguments] = calls_of(events)
    assert json.loads(arguments) == {"patch": f"*** Begin Patch\n{INNER}*** End Patch\n"}
    assert [(entry.action, entry.field) for entry in ledger.entries] == [
        ("repaired", "output.apply_patch.arguments"),
        ("repaired", "output.apply_patch.arguments"),
    ]


def test_two_calls_glued_together() -> None:
    glued = json.dumps({"patch": PATCH}) + json.dumps({"patch": INNER})
    events = run([call(0, "apply_patch", glued, "c1"), delta("tool_calls")], BY_PATCH)
    assert [json.loads(arguments)["patch"].strip() for arguments in calls_of(events)] == [PATCH.strip()] * 2


def test_a_patch_that_was_cut_off_is_not_completed() -> None:
    half = '{"patch": "*** Begin Patch\\n*** Add File: a\\n+x'
    events = run([call(0, "apply_patch", half, "c1"), delta("length")], BY_PATCH)
    assert calls_of(events) == [half]


@pytest.mark.parametrize(
    "tool", [declaration(input={"type": "string"}, cwd={"type": "string"}), declaration(input={"type": "array"})]
)
def test_another_function_of_this_name_is_left_alone(tool: Json) -> None:
    assert calls_of(run([call(0, "apply_patch", WRONG, "c1"), delta("tool_calls")], tool)) == [WRONG]
