"""Arguments while they arrive: what is right is never touched, what is wrong is coerced, at any chunk borders."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.protocol.json_scanner import ValueScanner
from responses_gateway.translate.tools.arguments import ArgumentStream, InputStream
from unit.chunks import cut, every_chunking, joined

SCHEMA = {
    "type": "object",
    "properties": {
        "cmd": {"type": "string"},
        "timeout_ms": {"type": "integer"},
        "ratio": {"type": "number"},
        "login": {"type": "boolean"},
        "gone": {"type": "null"},
        "files": {"type": "array", "items": {"type": "string"}},
        "ports": {"type": "array", "items": {"type": "integer"}},
        "plan": {
            "type": "array",
            "items": {"type": "object", "properties": {"step": {"type": "string"}, "n": {"type": "integer"}}},
        },
        "env": {"type": "object", "additionalProperties": {"type": "string"}},
        "limit": {"type": ["integer", "null"]},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "optional": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "tree": {"$ref": "#/$defs/node"},
        "loop": {"$ref": "#/$defs/loop"},
        "shape": {
            "oneOf": [
                {"type": "object", "properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}},
                {"type": "object", "properties": {"kind": {"const": "b"}, "n": {"type": "string"}}},
            ]
        },
        "anything": {},
    },
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"size": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}},
        },
        "loop": {"$ref": "#/$defs/loop"},
    },
}


def run(pieces: list[str], schema: dict[str, Any] | None = SCHEMA) -> tuple[str, ArgumentStream]:
    stream = ArgumentStream(schema)
    return joined(stream.feed, stream.finish, pieces), stream


@pytest.mark.parametrize(
    ("given_text", "expected", "repair"),
    [
        ('{"timeout_ms": "1000"}', '{"timeout_ms": 1000}', 'timeout_ms: string "1000" -> integer'),
        ('{"timeout_ms": 1000.0}', '{"timeout_ms": 1000}', "timeout_ms: number 1000.0 -> integer"),
        ('{"timeout_ms":1e3 }', '{"timeout_ms":1000 }', "timeout_ms: number 1000.0 -> integer"),
        ('{"timeout_ms": "1000.0"}', '{"timeout_ms": 1000}', 'timeout_ms: string "1000.0" -> integer'),
        ('{"ratio": " -0.5"}', '{"ratio": -0.5}', 'ratio: string " -0.5" -> number'),
        ('{"login": "True"}', '{"login": true}', 'login: string "True" -> boolean'),
        ('{"login":"false","cmd":"x"}', '{"login":false,"cmd":"x"}', 'login: string "false" -> boolean'),
        ('{"gone": "null"}', '{"gone": null}', 'gone: string "null" -> null'),
        ('{"files": "[\\"a\\", \\"b\\"]"}', '{"files": ["a","b"]}', 'files: string "[\\"a\\", \\"b\\"]" -> array'),
        ('{"files": "a.txt"}', '{"files": ["a.txt"]}', 'files: string "a.txt" -> array of one'),
        ('{"ports": 80}', '{"ports": [80]}', "ports: integer 80 -> array of one"),
        ('{"ports": ["80", 81]}', '{"ports": [80,81]}', 'ports[0]: string "80" -> integer'),
        ('{"env": "{\\"A\\":\\"1\\"}"}', '{"env": {"A":"1"}}', 'env: string "{\\"A\\":\\"1\\"}" -> object'),
        ('{"plan": [{"step": "é", "n": "2"}]}', '{"plan": [{"step":"é","n":2}]}', 'plan[0].n: string "2" -> integer'),
        ('{"limit": "null"}', '{"limit": null}', 'limit: string "null" -> null'),
        ('{"limit": "5"}', '{"limit": 5}', 'limit: string "5" -> integer'),
        ('{"optional": "7"}', '{"optional": 7}', 'optional: string "7" -> integer'),
        (
            '{"tree": {"size": 1, "next": {"size": "2", "next": {"size": 3.0}}}}',
            '{"tree": {"size":1,"next":{"size":2,"next":{"size":3}}}}',
            'tree.next.size: string "2" -> integer',
        ),
        ('{"shape": {"kind": "a", "n": "5"}}', '{"shape": {"kind":"a","n":5}}', 'shape.n: string "5" -> integer'),
        ("", "{}", "empty arguments -> {}"),
        (" \n", "{}", "empty arguments -> {}"),
        ('{"timeout\\u005fms": "1"}', '{"timeout\\u005fms": 1}', 'timeout_ms: string "1" -> integer'),
    ],
)
def test_coerces_by_schema_at_any_border(given_text: str, expected: str, repair: str) -> None:
    for pieces in every_chunking(given_text):
        out, stream = run(pieces)
        assert out == expected
        assert stream.repairs[0] == repair


@pytest.mark.parametrize(
    "right",
    [
        '{"cmd": "ls", "timeout_ms": 1000, "ratio": 1, "login": true, "files": [ "a" , "b"], "ports": [1,  2]}',
        ' \n{ "cmd" : "a\\"b\\\\" ,\t"limit":null } \n',
        '{"either": "5"}',
        '{"shape": {"kind": "b", "n": "5"}}',
        '{"anything": "5", "unknown": "true", "more": [1.0, "2"]}',
        '{"loop": "5"}',
        '{"files": "ls -la"}',
        '{"files": ["1"], "env": {"A": "1"}}',
        '{"timeout_ms": "soon"}',
        '{"timeout_ms": 1.5}',
        '{"cmd": "a", "cmd": "b"}',
        '{"timeout_ms": 12345678901234567890123}',
        "{}",
        "null",
        '["a"]',
        '"text"',
        "not json",
        '{"cmd": "cut off',
        '{"timeout_ms": "10',
        '{"timeout_ms": 10',
        '{"cmd"',
        "{",
        '{"timeout_ms": tru e}',
        "{'cmd': 'x'}",
        '{"ports": [1, ]}',
        '{"cmd": "x",}',
        '{"cmd" "x"}',
        '{"a":}',
    ],
)
def test_right_and_broken_arguments_pass_byte_for_byte(right: str) -> None:
    for pieces in every_chunking(right):
        out, stream = run(pieces)
        assert out == right
        assert stream.repairs == []
        assert stream.rest == ""


def test_whole_numbers_on_demand() -> None:
    text = '{"ratio": 1000.0, "anything": 3.0, "timeout_ms": 4}'
    assert run([text])[0] == text
    stream = ArgumentStream(SCHEMA, whole_numbers=True)
    assert stream.feed(text) + stream.finish() == text.replace("1000.0", "1000")
    assert stream.repairs == ["ratio: number 1000.0 -> whole number"]
    stream = ArgumentStream(SCHEMA, whole_numbers=True)
    assert stream.feed('{"ratio": "1000.0"}') == '{"ratio": 1000}'


def test_strings_stream_and_only_doubtful_values_wait() -> None:
    stream = ArgumentStream(SCHEMA)
    assert stream.feed('{"cmd": "echo') == '{"cmd": "echo'
    assert stream.feed(" hi") == " hi"
    assert stream.feed('", "timeout_ms": "10') == '", "timeout_ms": '
    assert stream.feed("00") == ""
    assert stream.feed('", "files": ["a') == '1000, "files": ["a'
    assert stream.feed('"], "ports": ["1') == '"], "ports": '
    assert not stream.complete
    assert stream.feed('"]}') == "[1]}"
    assert stream.complete
    assert stream.finish() == ""


def test_a_scalar_ends_with_what_follows_it() -> None:
    stream = ArgumentStream(SCHEMA)
    assert stream.feed('{"timeout_ms": 10') == '{"timeout_ms": '
    assert stream.feed("}") == "10}"


@pytest.mark.parametrize("glue", ["", "\n", "  "])
def test_a_glued_second_object_is_kept_apart(glue: str) -> None:
    first, second = '{"cmd":"a}{","timeout_ms":"1"}', '{"cmd":"b"} '
    for pieces in every_chunking(first + glue + second):
        out, stream = run(pieces)
        assert out == '{"cmd":"a}{","timeout_ms":1}'
        assert stream.rest == second
        assert stream.complete


def test_without_a_schema_nothing_is_coerced() -> None:
    text = '{"a": "1", "b": 1.0, "c": ["true"]}'
    for schema in (None, {}, {"type": "object"}, {"properties": None}, {"properties": {"a": True, "b": "x"}}):
        assert run([text], schema)[0] == text


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"$ref": "#"}]},
        {"$ref": "#"},
        {"$ref": "#/$defs/none", "$defs": {}},
        {"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}]}}},
        {"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}},
    ],
)
def test_schemas_that_contain_themselves_do_no_harm(schema: dict[str, Any]) -> None:
    text = '{"a": ["1", {"a": 1.0}], "b": "x"}'
    assert run([text], schema)[0] == text


def test_alternatives_that_cannot_be_told_apart_in_time_are_left() -> None:
    node = {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/n"}, "minItems": n} for n in (1, 2)]}
    text = '{"a": ' + "[" * 60 + '"1"' + "]" * 60 + "}"
    assert run([text], {"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": node}})[0] == text


def test_properties_of_a_referenced_or_composed_root_count() -> None:
    inner = {"type": "object", "properties": {"n": {"type": "integer"}}}
    assert run(['{"n":"1"}'], {"$ref": "#/$defs/x", "$defs": {"x": inner}})[0] == '{"n":1}'
    assert run(['{"n":"1"}'], {"allOf": [{"type": "object"}, inner]})[0] == '{"n":1}'
    assert run(['{"n":"1"}'], {"additionalProperties": {"type": "integer"}})[0] == '{"n":1}'


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


def typed(value: Any) -> dict[str, Any]:
    """A schema that `value` conforms to."""
    if isinstance(value, dict):
        return {"type": "object", "properties": {name: typed(item) for name, item in value.items()}}
    if isinstance(value, list):
        return {"type": "array", "prefixItems": [typed(item) for item in value]}
    if isinstance(value, float):
        return {"type": "number"}
    return {"type": {str: "string", bool: "boolean", int: "integer", type(None): "null"}[type(value)]}


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4), st.sampled_from([None, 2]), st.booleans(), st.data())
def test_whatever_conforms_is_never_altered(
    value: dict[str, Any], indent: int | None, ascii_only: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    out, stream = run(cut(data.draw, text), typed(value))
    assert out == text
    assert stream.repairs == []
    assert stream.complete


@given(st.text(), st.data())
def test_any_text_survives_any_chunking(text: str, data: st.DataObject) -> None:
    whole, stream = run([text])
    pieces, other = run(cut(data.draw, text))
    assert (whole, stream.rest, stream.repairs) == (pieces, other.rest, other.repairs)


@given(st.text(alphabet='{}[]":,\\ a1"', max_size=30), st.data())
def test_any_near_json_survives_any_chunking(text: str, data: st.DataObject) -> None:
    schema = {"additionalProperties": {"type": ["integer", "array"], "items": {"type": "integer"}}}
    whole, stream = run(["{" + text], schema)
    pieces, other = run(cut(data.draw, "{" + text), schema)
    assert (whole, stream.rest, stream.complete) == (pieces, other.rest, other.complete)
    if not stream.repairs and not stream.rest:
        assert whole == "{" + text


@given(JSON_VALUES, st.data())
def test_the_scanner_finds_the_end_of_any_value(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value) + ","
    scanner, seen = ValueScanner(), 0
    for piece in cut(data.draw, text):
        if (end := scanner.end(piece, 0)) >= 0:
            assert seen + end == len(text) - 1
            return
        seen += len(piece)
    pytest.fail("no end found")


def test_a_megabyte_in_small_pieces_streams() -> None:
    stream = ArgumentStream(SCHEMA)
    assert stream.feed('{"cmd": "') == '{"cmd": "'
    for _ in range(50_000):
        assert stream.feed("some \\n text that goes on ") == "some \\n text that goes on "
    assert stream.feed('"}') == '"}'
    assert stream.complete


# The one field of a freeform tool


def run_input(pieces: list[str], field: str = "input") -> tuple[str, InputStream]:
    stream = InputStream(field)
    return joined(stream.feed, stream.finish, pieces), stream


@given(st.text(), st.booleans(), st.data())
def test_the_input_is_decoded_at_any_border(text: str, ascii_only: bool, data: st.DataObject) -> None:
    document = json.dumps({"input": text}, ensure_ascii=ascii_only)
    out, stream = run_input(cut(data.draw, document))
    assert out == text
    assert stream.complete
    assert stream.repairs == []


def test_the_input_streams_while_it_arrives() -> None:
    stream = InputStream()
    assert stream.feed(' {"input"') == ""
    assert stream.feed(': "a') == "a"
    assert stream.feed("\\") == ""
    assert stream.feed("nb\\ud83d") == "\nb"
    assert stream.feed("\\ude") == ""
    assert stream.feed("00c") == "😀c"
    assert stream.feed("\\u00") == ""
    assert stream.feed('e9"') == "é"
    assert not stream.complete
    assert stream.feed("} ") == ""
    assert stream.complete
    assert stream.finish() == ""
    assert stream.repairs == []


@pytest.mark.parametrize(
    ("answer", "expected", "repair"),
    [
        ("*** Begin Patch\n", "*** Begin Patch\n", "text instead of"),
        ("  const x = 1", "  const x = 1", "text instead of"),
        ("{ const x = 1 }", "{ const x = 1 }", "text instead of"),
        ('"a\\nb"', "a\nb", "JSON string instead of"),
        ('"use strict"; x()', '"use strict"; x()', "no string field"),
        ('{"patch": "p\\n"}', "p\n", 'field "patch" taken'),
        ('{"why": 1, "input": "p"}', "p", 'ignored extra field "why"'),
        ('{"why": "x", "input": "p"}', "p", 'ignored extra field "why"'),
        ('{"input": "p", "why": "x", "n": [1]}', "p", 'ignored extra field "why"'),
        ('{"a": "x", "b": "y"}', '{"a": "x", "b": "y"}', "no string field"),
        ('{"input": ["a"]}', '{"input": ["a"]}', "no string field"),
        ('{"input": 5}', '{"input": 5}', "no string field"),
        ("{}", "{}", "no string field"),
        ('{"input": "p" oops', "p", "ignored text that is not JSON"),
    ],
)
def test_other_answers_are_understood(answer: str, expected: str, repair: str) -> None:
    for pieces in every_chunking(answer):
        out, stream = run_input(pieces)
        assert out == expected
        assert stream.repairs[0].startswith(repair)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"input": "cut of', "cut of"),
        ('{"input": "cut \\', "cut "),
        ('{"input": "cut \\ud83d\\ude', "cut "),
        ('{"input": "\\d \\q \\u12 \\ud83d."}', "\\d \\q \\u12 \ufffd."),
        ('{"input": "\\\\\\\\u12"}', "\\\\u12"),
        ('{"input": "raw\nline"}', "raw\nline"),
        ('{"input": "\\ude00\\ud83d"}', "\ufffd\ufffd"),
    ],
)
def test_truncated_and_odd_strings_are_decoded_leniently(answer: str, expected: str) -> None:
    for pieces in every_chunking(answer):
        assert run_input(pieces)[0] == expected


def test_what_follows_the_input_object_is_kept_apart() -> None:
    out, stream = run_input(['{"input":"a"}\n{"input"', ':"b"}'])
    assert out == "a"
    assert stream.rest == '{"input":"b"}'


def test_another_field_name() -> None:
    assert run_input(['{"code":"x"}'], "code")[0] == "x"
