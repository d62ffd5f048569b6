"""Arguments and names in forms that the client does not take, and that mean one thing only."""

import json

import pytest

from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.arguments import ArgumentStream, InputStream
from unit.chunks import every_chunking, joined
from unit.machine import PATCH, RUN, Json, call, delta, output, run, spoken

EXEC: Json = {
    "type": "function",
    "name": "exec_command",
    "parameters": {
        "type": "object",
        "properties": {
            "cmd": {"type": "string"},
            "yield_time_ms": {"type": "number"},
            "tty": {"type": "boolean"},
            "env": {"type": "object", "properties": {"home": {"type": "string"}, "any": {}}},
            "limit": {"type": ["number", "null"]},
        },
        "required": ["cmd"],
    },
}
NULLS = [
    ('{"cmd": "ls", "yield_time_ms": null}', '{"cmd": "ls"}'),
    ('{"yield_time_ms": null, "cmd": "ls"}', '{ "cmd": "ls"}'),
    ('{"yield_time_ms": null, "tty": null}', "{}"),
    ('{ "tty" : null , "cmd":"ls","yield_time_ms":null }', '{ "cmd":"ls" }'),
    ('{"cmd": "ls", "env": {"home": null, "any": null}}', '{"cmd": "ls", "env": {"any":null}}'),
]
KEPT = [
    '{"cmd": null, "limit": null, "unknown": null}',
    '{"cmd": "ls", "tty": nul',
    '{"cmd": "ls", "tty": null',
    '{"cmd": "ls", "tty":',
    '{"cmd" "ls"}',
    '"a string"',
    '"{\\"cmd\\": \\"ls',
    "{}",
]


def mended(pieces: list[str]) -> str:
    stream = ArgumentStream(EXEC["parameters"])
    return joined(stream.feed, stream.finish, pieces)


@pytest.mark.parametrize(("given", "expected"), NULLS)
def test_nulls_of_optional_arguments_are_left_out(given: str, expected: str) -> None:
    for pieces in every_chunking(given):
        assert mended(pieces) == expected
        json.loads(expected)


@pytest.mark.parametrize("given", KEPT)
def test_what_may_be_null_or_was_cut_off_stays(given: str) -> None:
    for pieces in every_chunking(given):
        assert mended(pieces) == given


def test_doubly_encoded_arguments_are_unpacked() -> None:
    once = '{"cmd": "ls", "yield_time_ms": "5"}'
    for pieces in every_chunking(json.dumps(once)):
        assert mended(pieces) == '{"cmd": "ls", "yield_time_ms": 5}'


def test_a_doubly_encoded_input_is_unpacked() -> None:
    for pieces in every_chunking(json.dumps('{"input": "a\\nb"}')):
        stream = InputStream()
        assert joined(stream.feed, stream.finish, pieces) == "a\nb"


def called(name: str, arguments: object, *tools: Json) -> list[tuple[str, ...]]:
    """What comes of one call whose arguments come in pieces."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    chunks = [call(0, name, "", "c"), *(call(0, None, text[at : at + 7]) for at in range(0, len(text), 7))]
    return [spoken(item) for item in output(run([*chunks, delta("tool_calls")], *tools))]


@pytest.mark.parametrize("name", ["exec_command", "shell", "bash", "container.exec"])
@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("ls -la", "ls -la"),
        (["bash", "-lc", "ls | wc"], "ls | wc"),
        (["ls", "-la", "a b"], "ls -la 'a b'"),
        (["ls -la"], "ls -la"),
    ],
)
def test_a_command_in_another_form(name: str, command: object, line: str) -> None:
    [(_, tool, arguments)] = called(name, {"command": command, "tty": True}, EXEC, RUN)
    assert tool == "exec_command"
    assert json.loads(arguments) == {"cmd": line, "tty": True}


@pytest.mark.parametrize(
    "arguments", [{"cmd": "ls"}, {"command": "a", "cmd": "b"}, {"command": [1]}, {"command": []}, '{"command": ["l']
)
def test_what_is_right_or_means_two_things_stays(arguments: object) -> None:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    assert called("exec_command", arguments, EXEC) == [("call", "exec_command", text)]


def test_a_name_that_may_mean_two_tools_stays() -> None:
    other = {**EXEC, "name": "shell_command"}
    assert called("bash", {"command": "ls"}, EXEC, other)[0][1] == "bash"
    assert called("bash", {"command": "ls"}, RUN)[0][1] == "bash"


USES = [
    {"recipient_name": "functions.exec_command", "parameters": {"cmd": "ls", "tty": None}},
    {"recipient_name": "run", "parameters": {"cmd": "a"}},
]


def test_calls_in_one_call_are_taken_apart() -> None:
    assert called("multi_tool_use.parallel", {"tool_uses": USES}, EXEC, RUN) == [
        ("call", "exec_command", '{"cmd":"ls"}'),
        ("call", "run", '{"cmd":"a"}'),
    ]


@pytest.mark.parametrize("arguments", ['{"tool_uses": [{"recipient_name": "run", "para', '{"tool_uses": []}', "{}"])
def test_calls_in_one_call_that_are_not_whole_are_passed_on(arguments: str) -> None:
    assert called("multi_tool_use.parallel", arguments, RUN) == [("call", "multi_tool_use.parallel", arguments)]


def test_what_was_mended_is_in_the_ledger() -> None:
    ledger = Ledger()
    run([call(0, "bash", '{"command": ["ls", "-l"]}', "c"), delta("tool_calls")], EXEC, PATCH, ledger=ledger)
    fields = [(entry.action, entry.field) for entry in ledger.entries if entry.field != "usage"]
    assert fields == [("repaired", "output.bash"), ("repaired", "output.exec_command.arguments")]
