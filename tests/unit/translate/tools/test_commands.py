"""Functions that run one command line: which they are, and which forms of a command are that line."""

import json
from typing import Any

import pytest

from responses_gateway.translate.tools.command_tools import CommandArguments, command_field, command_line
from unit.chunks import every_chunking, joined

TEXT = {"type": "string"}
SCHEMA = {"properties": {"cmd": TEXT, "ms": {"type": "number"}}}


@pytest.mark.parametrize(
    "name", ["bash", "container.exec", "exec_command", "run_shell_command", "sh", "shell", "shell_command"]
)
@pytest.mark.parametrize("field", ["cmd", "command"])
def test_what_such_a_function_is(name: str, field: str) -> None:
    assert command_field(name, {"properties": {field: TEXT, "other": TEXT}}) == field
    assert command_field(name, {"properties": {"other": TEXT}}) is None
    assert command_field(name, {"properties": {"cmd": TEXT, "command": TEXT}}) is None
    assert command_field(name, {"properties": {field: {"type": "array"}}}) is None
    assert command_field(name, {"properties": {field: True}}) is None
    assert command_field(name, {}) is None
    assert command_field(f"{name}s", {"properties": {field: TEXT}}) is None


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("ls -l", "ls -l"),
        (["ls -l"], "ls -l"),
        (["ls", "a b"], "ls 'a b'"),
        *(
            ([shell, flag, "a | b"], "a | b")
            for shell in ("bash", "sh", "zsh", "/bin/bash", "/bin/sh", "/bin/zsh", "/usr/bin/bash")
            for flag in ("-c", "-lc")
        ),
        (["bash", "-x", "a b"], "bash -x 'a b'"),
        (["fish", "-c", "a b"], "fish -c 'a b'"),
        (["bash", "-c", "a", "b"], "bash -c a b"),
        ([], None),
        ([1], None),
        (["a", 1], None),
        (5, None),
        (None, None),
    ],
)
def test_the_line_of_a_command(command: Any, line: str | None) -> None:
    assert command_line(command) == line


def sent(text: str) -> tuple[str, list[str]]:
    found = set()
    for pieces in every_chunking(text):
        stream = CommandArguments("cmd", SCHEMA)
        found.add((joined(stream.feed, stream.finish, pieces), tuple(stream.repairs), stream.rest))
    [(out, repairs, _)] = found
    return out, list(repairs)


@pytest.mark.parametrize(
    ("arguments", "becomes", "repair"),
    [
        ({"command": "ls"}, {"cmd": "ls"}, "command taken for the command line cmd"),
        ({"command": ["bash", "-lc", "ls"], "ms": 5}, {"cmd": "ls", "ms": 5}, "command taken for the command line cmd"),
        ({"ms": 5, "command": "ls"}, {"ms": 5, "cmd": "ls"}, "command taken for the command line cmd"),
        ({"cmd": ["ls", "-l"]}, {"cmd": "ls -l"}, "cmd taken for the command line cmd"),
    ],
)
def test_other_forms_are_put_right(arguments: Any, becomes: Any, repair: str) -> None:
    out, repairs = sent(json.dumps(arguments))
    assert json.loads(out) == becomes
    assert list(json.loads(out)) == list(becomes)
    assert repairs == [repair]


@pytest.mark.parametrize(
    "text",
    [
        '{"cmd": "ls"}',
        ' { "cmd" : "ls" , "ms": 5 }',
        '{"ms": 5, "cmd": "ls"}',
        '{"cmd": "a", "command": "b"}',
        '{"command": "a", "cmd": "b"}',
        '{"command": [1]}',
        '{"command": []}',
        '{"command": ["ls"',
        '{"command": ["ls"}',
        '{"ms": 5}',
        "{}",
        "[1]",
        "ls -l",
        '"ls"',
        '{"' + "x" * 50 + '": 1}',
        "{" + " " * 300 + '"command": "ls"}',
    ],
)
def test_right_and_unclear_ones_stay(text: str) -> None:
    assert sent(text) == (text, [])


def test_right_ones_stream() -> None:
    stream = CommandArguments("cmd", SCHEMA)
    assert stream.feed('{"cm') == ""
    assert stream.feed('d": "l') == '{"cmd": "l'
    assert stream.feed("s") == "s"
    other = CommandArguments("cmd", SCHEMA)
    assert other.feed('{"command": "l') == other.feed('s"}') == ""
    assert other.complete
    assert other.feed('{"cmd": "b"}') == ""
    assert (other.finish(), other.rest) == ('{"cmd":"ls"}', '{"cmd": "b"}')
