"""Arguments whose schema has alternatives: a value that fits one stays, others are put into the form of one."""

import json
from typing import Any

import pytest

from unit.machine import call, delta, output, run

Json = dict[str, Any]


def sent(schema: Json, value: Any) -> Any:
    """What the client gets of a property `x` with a schema, when the model writes `value`."""
    tool = {"type": "function", "name": "run", "parameters": {"type": "object", "properties": {"x": schema}}}
    made = run([call(0, "run", json.dumps({"x": value}), "c1"), delta("tool_calls")], tool)
    return json.loads(output(made)[0]["arguments"])["x"]


NUMBERS: Json = {"type": "array", "items": {"type": "integer"}}
POINT: Json = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("branches", "value", "becomes"),
    [
        ([NUMBERS, {"type": "string"}], "[1, 2]", "[1, 2]"),
        ([NUMBERS, {"type": "boolean"}], "[1, 2]", [1, 2]),
        ([NUMBERS, {"type": "array", "items": {"type": "string"}}], ["a"], ["a"]),
        ([POINT, {"type": "boolean"}], '{"a": 1}', {"a": 1}),
        ([POINT, {"type": "boolean"}], '{"b": 1}', '{"b": 1}'),
        ([{"type": "integer", "enum": [1, 2]}, {"type": "null"}], "2", 2),
        ([{"type": "integer", "enum": [1, 2]}, {"type": "null"}], "3", "3"),
        ([{"type": "integer", "const": 1}, {"type": "null"}], "1", 1),
        ([{"type": "integer", "const": 1}, {"type": "null"}], "2", "2"),
        ([{"allOf": [{"type": "integer"}, {"enum": [4]}]}, {"type": "boolean"}], "4", 4),
    ],
)
@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
def test_alternatives(keyword: str, branches: list[Any], value: Any, becomes: Any) -> None:
    assert sent({keyword: branches}, value) == becomes


@pytest.mark.parametrize(
    ("schema", "value", "becomes"),
    [
        (NUMBERS, 5, [5]),
        (NUMBERS, "5", "5"),
        (NUMBERS, ["5", 6], [5, 6]),
        ({"type": "array", "items": {"type": "string"}}, "word", ["word"]),
        ({"type": "array", "items": {"type": "string"}}, "two words", "two words"),
        ({"type": "array"}, 5, 5),
        ({"type": "integer"}, 5.0, 5),
        ({"type": "integer"}, 5.5, 5.5),
        ({"type": "number"}, "5.5", 5.5),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "False", False),
        ({"type": "boolean"}, "yes", "yes"),
        ({"type": ["string", "null"]}, "null", "null"),
        ({"type": ["integer", "null"]}, "null", None),
        ({"type": "string"}, "5", "5"),
        (POINT, '{"a": "1"}', {"a": 1}),
    ],
)
def test_forms(schema: Json, value: Any, becomes: Any) -> None:
    assert sent(schema, value) == becomes
