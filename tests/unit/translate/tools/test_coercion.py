"""Which values fit a schema, which are read as another one, and how that is told; keyword by keyword."""

import json
from typing import Any

import pytest

from responses_gateway.translate.tools.arguments import ArgumentStream

Json = dict[str, Any]
INTEGER: Json = {"type": "integer"}
STRING: Json = {"type": "string"}


def mended(schema: Any, value: str, whole_numbers: bool = False, **root: Any) -> tuple[str, list[str]]:
    """What becomes of the JSON text `value` of a property `x` with this schema, and the repairs."""
    stream = ArgumentStream({"properties": {"x": schema}, "required": ["x"], **root}, whole_numbers=whole_numbers)
    text = stream.feed(f'{{"x":{value}}}') + stream.finish()
    return text.removeprefix('{"x":').removesuffix("}"), stream.repairs


@pytest.mark.parametrize(
    ("kind", "value", "becomes"),
    [
        ("integer", '"+7"', "7"),
        ("integer", '" 7 "', "7"),
        ("integer", '"-7.000"', "-7"),
        ("integer", '"7.5"', None),
        ("integer", '"7e3"', None),
        ("integer", '"0x7"', None),
        ("integer", f'"{"9" * 18}"', "9" * 18),
        ("integer", f'"{"9" * 19}"', None),
        ("integer", "1e18", "1000000000000000000"),
        ("integer", "9223372036854775808.0", None),
        ("integer", "true", None),
        ("number", '"1e-5"', "0.00001"),
        ("number", '"-0.5"', "-0.5"),
        ("number", '"07"', None),
        ("number", '".5"', None),
        ("number", '"1e100"', None),
        ("number", '"1e99"', "1e+99"),
        ("number", "true", None),
        ("boolean", '" TRUE "', "true"),
        ("boolean", '"false"', "false"),
        ("boolean", '"1"', None),
        ("boolean", "1", None),
        ("null", '"None"', "null"),
        ("null", '"null"', "null"),
        ("null", '"none"', None),
        ("null", "0", None),
        ("array", '"[1]"', "[1]"),
        ("array", '" [1]"', "[1]"),
        ("array", '"{}"', None),
        ("array", '"[1"', None),
        ("array", "5", None),
        ("object", '"{}"', "{}"),
        ("object", '"[]"', None),
        ("object", "[]", None),
        ("string", "5", None),
        ("string", "null", None),
        ("other", '"5"', None),
    ],
)
def test_one_plain_reading(kind: str, value: str, becomes: str | None) -> None:
    text, repairs = mended({"type": kind}, value)
    # Releases of pydantic write the same number differently; an integer and a float of the same size are two things.
    assert repr(json.loads(text)) == repr(json.loads(value if becomes is None else becomes))
    assert len(repairs) == (becomes is not None)
    if repairs:
        assert repairs[0].endswith(f" -> {kind}")


@pytest.mark.parametrize(
    ("items", "value", "becomes"),
    [
        (STRING, '"a.txt"', '["a.txt"]'),
        *((STRING, f'"a{mark}b"', None) for mark in (" ", ",", ";", "|", "'", "[", "]", "{", "}")),
        (STRING, "5", None),
        (INTEGER, "5", "[5]"),
        (INTEGER, '"5"', None),
        ({"type": "boolean"}, "true", "[true]"),
        ({"type": "object"}, "{}", None),
        ({"type": "array"}, "[]", "[]"),
        ({"enum": ["a"]}, '"a"', None),
        ({"type": "string", "enum": ["a"]}, '"b"', None),
        ({"type": "string", "enum": ["a"]}, '"a"', '["a"]'),
        (None, '"a"', None),
    ],
)
def test_a_list_of_one(items: Any, value: str, becomes: str | None) -> None:
    text, repairs = mended({"type": "array", "items": items}, value)
    assert text == (becomes or value)
    assert bool(repairs) == (becomes is not None and becomes != value)


@pytest.mark.parametrize(
    ("schema", "value", "becomes"),
    [
        ({"type": ["integer", "null"]}, '"5"', "5"),
        ({"type": ["integer", 5]}, '"5"', "5"),
        ({"type": "integer", "nullable": True}, "null", "null"),
        ({"type": "integer", "nullable": True}, '"null"', "null"),
        ({"type": "integer", "nullable": "yes"}, '"null"', '"null"'),
        ({"type": ["integer", "string"]}, '"5"', '"5"'),
        ({"anyOf": [INTEGER, {}]}, '"5"', '"5"'),
        ({"anyOf": [INTEGER, {"type": "boolean"}]}, '"true"', "true"),
        ({"anyOf": [INTEGER, {"type": "boolean"}]}, '"x"', '"x"'),
        ({"oneOf": [INTEGER]}, '"5"', "5"),
        ({"allOf": [INTEGER]}, '"5"', "5"),
        ({"allOf": [{"title": "a"}, INTEGER]}, '"5"', "5"),
        ({"allOf": [{"type": ["integer", "string"]}, {"type": ["integer", "boolean"]}]}, '"5"', "5"),
        ({"allOf": [{"title": "a"}]}, '"5"', '"5"'),
        ({"anyOf": "x"}, '"5"', '"5"'),
        (True, '"5"', '"5"'),
        ({"type": "array", "items": INTEGER}, '["1", 2]', "[1,2]"),
        ({"type": "array", "prefixItems": [STRING, INTEGER]}, '["1", "2", "3"]', '["1",2,"3"]'),
        ({"type": "array", "prefixItems": [STRING], "items": INTEGER}, '["1", "2", "3"]', '["1",2,3]'),
        ({"type": "object", "properties": {"a": INTEGER}}, '{"a": "1", "b": "2"}', '{"a":1,"b":"2"}'),
        ({"type": "object", "additionalProperties": INTEGER}, '{"a": "1"}', '{"a":1}'),
        ({"type": "object", "allOf": [{"properties": {"a": INTEGER}}]}, '{"a": "1"}', '{"a":1}'),
        ({"type": "object", "anyOf": [{"properties": {"a": INTEGER}}]}, '{"a": "1"}', '{"a":1}'),
        ({"type": "object", "oneOf": [{"properties": {"a": INTEGER}}]}, '{"a": "1"}', '{"a":1}'),
        (
            {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": INTEGER}}}},
            '{"a":{"b":"1"}}',
            '{"a":{"b":1}}',
        ),
        ({"type": "object", "properties": {"a": STRING}}, '{ "a" : "1" }', '{ "a" : "1" }'),
        ({"type": "array", "items": {"items": INTEGER}}, '[["1"]]', "[[1]]"),
    ],
)
def test_where_a_schema_says_it(schema: Any, value: str, becomes: str) -> None:
    text, repairs = mended(schema, value)
    assert text == becomes
    assert bool(repairs) == (json.loads(text) != json.loads(value) or text != value)


@pytest.mark.parametrize(
    ("ref", "becomes"),
    [
        ("#/$defs/n", "5"),
        ("#/$defs/a~1b", "5"),
        ("#/$defs/c~0d", "5"),
        ("#/$defs/to", "5"),
        ("#/$defs/none", '"5"'),
        ("#/$defs/n/type", '"5"'),
        ("other.json#/$defs/n", '"5"'),
        ("#/$defs/round", '"5"'),
    ],
)
def test_what_a_schema_refers_to(ref: str, becomes: str) -> None:
    there = {
        "n": INTEGER,
        "a/b": INTEGER,
        "c~d": INTEGER,
        "to": {"$ref": "#/$defs/n"},
        "round": {"$ref": "#/$defs/round"},
    }
    assert mended({"$ref": ref}, '"5"', **{"$defs": there})[0] == becomes


KINDS = {
    "anyOf": [
        {"properties": {"kind": {"const": "a"}, "n": INTEGER}, "required": ["kind", "n"], "type": "object"},
        {"properties": {"kind": {"enum": ["b", "c"]}, "n": STRING}, "required": ["kind"], "type": "object"},
        {"type": "array", "items": {"anyOf": [INTEGER, {"allOf": [STRING, {"enum": ["x"]}]}]}},
    ]
}


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ('{"kind": "a", "n": "1"}', '{"kind":"a","n":1}'),
        ('{"kind": "a"}', '{"kind": "a"}'),
        ('{"kind": "b", "n": "1"}', '{"kind": "b", "n": "1"}'),
        ('{"kind": "c"}', '{"kind": "c"}'),
        ('{"kind": "d", "n": "1"}', '{"kind": "d", "n": "1"}'),
        ('{"n": "1"}', '{"n": "1"}'),
        ('[1, "x"]', '[1, "x"]'),
        ('[1, "2"]', "[1,2]"),
        ('"[1]"', "[1]"),
        ("5", "[5]"),
        ("true", "true"),
    ],
)
def test_the_alternative_that_fits_decides(value: str, becomes: str) -> None:
    assert mended(KINDS, value)[0] == becomes


def test_a_schema_that_nothing_fits_takes_nothing() -> None:
    assert mended({"anyOf": [{"type": "array", "items": False}, {"type": "boolean"}]}, '"[1]"')[0] == '"[1]"'
    assert mended({"anyOf": [{"type": "array", "items": False}, {"type": "boolean"}]}, '"[]"')[0] == "[]"


@pytest.mark.parametrize(
    ("schema", "value", "repair"),
    [
        (INTEGER, '"5"', 'x: string "5" -> integer'),
        (INTEGER, "5.0", "x: number 5.0 -> integer"),
        ({"type": "array", "items": INTEGER}, "5", "x: integer 5 -> array of one"),
        ({"type": "array", "items": INTEGER}, '[1, "5"]', 'x[1]: string "5" -> integer'),
        ({"properties": {"a": {"items": INTEGER}}}, '{"a": ["5"]}', 'x.a[0]: string "5" -> integer'),
        ({"properties": {"a": INTEGER}}, '{"a": null}', "x.a: null left out, the argument is optional"),
        ({"type": "array"}, f'"[{"1" * 60}]"', f'x: string "[{"1" * 58}… -> array'),
        ({"type": "array"}, f'"[{"1" * 56}]"', f'x: string "[{"1" * 56}]" -> array'),
    ],
)
def test_a_repair_says_what_and_where(schema: Any, value: str, repair: str) -> None:
    assert mended(schema, value)[1] == [repair]


@pytest.mark.parametrize(
    ("schema", "value", "becomes"),
    [
        ({"type": "number"}, "5.0", "5"),
        ({"type": "number"}, "5.5", "5.5"),
        ({"type": "number"}, '"5.0"', "5"),
        ({"type": "number"}, "1e300", "1e300"),
        ({"type": ["number", "null"]}, "5.0", "5.0"),
        ({}, "5.0", "5.0"),
        ({"type": "array", "items": {"type": "number"}}, "[5.0, 0.5]", "[5,0.5]"),
    ],
)
def test_whole_numbers(schema: Any, value: str, becomes: str) -> None:
    text, repairs = mended(schema, value, whole_numbers=True)
    assert text == becomes
    if value == "5.0" and becomes == "5":
        assert repairs == ["x: number 5.0 -> whole number"]
    assert mended(schema, value)[0] == value or value.startswith('"')


@pytest.mark.parametrize(
    ("inner", "left_out"),
    [
        (INTEGER, True),
        ({"type": ["integer", "string"]}, True),
        ({"type": ["integer", "null"]}, False),
        ({"type": "integer", "nullable": True}, False),
        ({"type": "null"}, False),
        ({}, False),
        ({"type": []}, False),
        ({"anyOf": [INTEGER]}, False),
        ("x", False),
    ],
)
def test_which_nulls_mean_nothing(inner: Any, left_out: bool) -> None:
    stream = ArgumentStream({"properties": {"x": STRING, "y": inner}, "required": ["x"]})
    text = stream.feed('{"x":"a","y":null}') + stream.finish()
    assert text == ('{"x":"a"}' if left_out else '{"x":"a","y":null}')
    assert stream.repairs == (["y: null left out, the argument is optional"] if left_out else [])
    needed = ArgumentStream({"properties": {"y": inner}, "required": ["y"]})
    assert needed.feed('{"y":null}') + needed.finish() == '{"y":null}'
    unclear = ArgumentStream({"properties": {"y": inner}, "required": "y"})
    assert unclear.feed('{"y":null}') + unclear.finish() == ("{}" if left_out else '{"y":null}')
