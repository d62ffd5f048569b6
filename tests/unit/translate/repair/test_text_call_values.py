"""Names and arguments of calls that were written as text: which are read, and which leave the markup as text."""

import json
from typing import Any

import pytest

from responses_gateway.translate.repair.text_call_parser import LONGEST_CALL, TextCallParser
from responses_gateway.translate.repair.text_call_values import TextCall, TextReasoning

OFFERED = ["run", "functions.odd", "a:1"]


def parsed(text: str) -> list[Any]:
    parser = TextCallParser(OFFERED)
    return [*parser.feed(text), *parser.finish()]


def hermes(content: Any) -> str:
    return f"<tool_call>{content if isinstance(content, str) else json.dumps(content)}</tool_call>"


LS = {"cmd": "ls"}


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        ({"name": "run", "arguments": LS}, '{"cmd":"ls"}'),
        ({"name": "run", "parameters": LS}, '{"cmd":"ls"}'),
        ({"name": "run", "arguments": {"a": 1}, "parameters": LS}, '{"a":1}'),
        ({"name": "run", "arguments": '{ "cmd": "ls" }'}, '{ "cmd": "ls" }'),
        ({"name": "run", "arguments": ""}, "{}"),
        ({"name": "run", "arguments": None}, "{}"),
        ({"name": "run"}, "{}"),
        ({"name": "functions.run"}, "{}"),
        ({"name": "run:3"}, "{}"),
        ({"name": "functions.run:12"}, "{}"),
        ({"function": {"name": "run", "arguments": LS}}, '{"cmd":"ls"}'),
        ([{"name": "run", "arguments": LS}], '{"cmd":"ls"}'),
    ],
)
def test_a_call_in_json(content: Any, arguments: str) -> None:
    if isinstance(content, list):
        assert parsed(f"[TOOL_CALLS]{json.dumps(content)}") == [TextCall("run", arguments, "mistral")]
    else:
        assert parsed(hermes(content)) == [TextCall("run", arguments, "hermes")]


@pytest.mark.parametrize(("written", "name"), [("functions.odd", "functions.odd"), ("a:1", "a:1"), ("a:1:2", "a:1")])
def test_an_offered_name_is_taken_as_it_is(written: str, name: str) -> None:
    assert parsed(hermes({"name": written})) == [TextCall(name, "{}", "hermes")]


@pytest.mark.parametrize(
    "content",
    [
        {"name": "other"},
        {"name": "run:x"},
        {"name": "tools.run"},
        {"name": 5},
        {"function": "run"},
        {"arguments": LS},
        {"name": "run", "arguments": [1]},
        {"name": "run", "arguments": "[1]"},
        {"name": "run", "arguments": 5},
        '{"name": "run"',
        '{"name": run}',
        "{}",
    ],
)
def test_what_is_no_call_stays_text(content: Any) -> None:
    assert "".join(parsed(hermes(content))) == hermes(content)


@pytest.mark.parametrize("entries", [[{"name": "run"}, 5], [{"name": "run"}, {"name": "other"}], [], [5]])
def test_a_list_is_taken_as_a_whole(entries: list[Any]) -> None:
    text = f"[TOOL_CALLS]{json.dumps(entries)}"
    assert "".join(parsed(text)) == text


TAG = "｜DSML｜"


def dsml(attributes: str, value: str) -> str:
    parameter = f'<{TAG}parameter name="x"{attributes}>{value}</{TAG}parameter>'
    return f'<{TAG}invoke name="run">{parameter}</{TAG}invoke>'


@pytest.mark.parametrize(
    ("attributes", "value", "read"),
    [
        ("", "5", "5"),
        (' string="true"', "5", "5"),
        (' string="false"', "5", 5),
        (" string='false'", "[1]", [1]),
        (" string=false", "true", True),
        (' string="false"', "{broken", "{broken"),
        (' substring="false"', "5", "5"),
        (' string="false"', " 5 ", 5),
    ],
)
def test_a_value_is_text_unless_it_says_otherwise(attributes: str, value: str, read: Any) -> None:
    [found] = parsed(dsml(attributes, value))
    assert json.loads(found.arguments) == {"x": read}


@pytest.mark.parametrize(
    ("value", "read"), [("\na\n", "a"), ("\n\n", ""), ("\n", "\n"), ("a\n", "a\n"), ("\na", "\na"), ("", "")]
)
def test_line_breaks_around_a_value_are_layout_where_it_is_laid_out(value: str, read: str) -> None:
    [found] = parsed(f"<function=run><parameter= x >{value}</parameter></function>")
    assert json.loads(found.arguments) == {"x": read}
    [found] = parsed(f"<tool_call>run<arg_key>x</arg_key><arg_value>{value}</arg_value></tool_call>")
    assert json.loads(found.arguments) == {"x": value}


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        ("analysis", "Hm.", [TextReasoning("Hm.")]),
        (" final ", "So.", ["So."]),
        ("commentary", "Look.", ["Look."]),
        ("commentary to=run", "{}", [TextCall("run", "{}", "harmony")]),
        ("analysis to=functions.run code", "{}", [TextCall("run", "{}", "harmony")]),
    ],
)
@pytest.mark.parametrize("end", ["<|end|>", "<|return|>", "<|call|>", ""])
def test_channels_and_recipients(head: str, body: str, expected: list[Any], end: str) -> None:
    assert parsed(f"<|channel|>{head}<|message|>{body}{end}") == expected


@pytest.mark.parametrize("head", ["other", "final answer", "commentary to=other", "final to=other"])
def test_other_channels_are_text(head: str) -> None:
    text = f"<|channel|>{head}<|message|>{{}}<|end|>"
    assert "".join(parsed(text)) == text


@pytest.mark.parametrize("body", ["no JSON", "[1]", "5", ""])
@pytest.mark.parametrize("end", ["<|call|>", ""])
def test_a_message_to_a_tool_without_an_object_is_text(body: str, end: str) -> None:
    text = f"<|channel|>commentary to=run<|message|>{body}{end}"
    assert "".join(parsed(text)) == text


@pytest.mark.parametrize(("length", "found"), [(LONGEST_CALL, True), (LONGEST_CALL + 1, False)])
def test_the_longest_call(length: int, found: bool) -> None:
    head, tail = '<function=run>{"cmd": "', '"}'
    text = head + "x" * (length - len(head) - len(tail)) + tail + "</function>"
    assert any(isinstance(part, TextCall) for part in parsed(text)) is found


@pytest.mark.parametrize(("length", "found"), [(160, True), (161, False)])
def test_the_longest_name(length: int, found: bool) -> None:
    name = "n" * length
    parser = TextCallParser([name])
    text = f"<function={name}></function>"
    assert ([*parser.feed(text), *parser.finish()] == [TextCall(name, "{}", "function")]) is found
