"""Schema dialects: parameters as upstreams with fewer words take them."""

from typing import Any

import pytest

from responses_gateway.catalogue.providers.profile import ToolsProfile
from responses_gateway.translate.tools.schema import dialect

NODE = {"type": "object", "properties": {"child": {"$ref": "#/$defs/node", "description": "d"}}}


@pytest.mark.parametrize(
    ("profile", "schema", "expected"),
    [
        (
            {"schema_drop": ["default"]},
            {"type": "object", "properties": {"default": {"type": "string", "default": "x"}}},
            {"type": "object", "properties": {"default": {"type": "string"}}},
        ),
        (
            {"schema_drop": ["title"]},
            {"enum": [{"title": 1}], "title": "x"},
            {"enum": [{"title": 1}]},
        ),
        (
            {"schema_types": "single"},
            {"properties": {"a": {"type": ["string", "null"]}, "b": {"type": ["string", "integer"]}}},
            {
                "properties": {
                    "a": {"type": "string", "nullable": True},
                    "b": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                }
            },
        ),
        (
            {"schema_refs": "alone"},
            {"$defs": {"a": {}}, "properties": {"x": {"$ref": "#/$defs/a", "description": "d"}}},
            {"$defs": {"a": {}}, "properties": {"x": {"$ref": "#/$defs/a"}}},
        ),
        (
            {"schema_refs": "inline"},
            {"$defs": {"a": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a", "description": "d"}}},
            {"properties": {"x": {"type": "string", "description": "d"}}},
        ),
        (
            {"schema_root": "object"},
            {"anyOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}]},
            {"type": "object", "properties": {"a": {}, "b": {}}, "required": []},
        ),
    ],
)
def test_dialects(profile: dict[str, Any], schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert dialect(schema, ToolsProfile(**profile)) == expected


def test_a_schema_that_refers_to_itself_ends() -> None:
    inlined = dialect({"$defs": {"node": NODE}, **NODE}, ToolsProfile(schema_refs="inline"))
    assert "$ref" not in str(inlined)


def test_the_common_ground_changes_nothing() -> None:
    schema = {"$defs": {"node": NODE}, "type": ["object", "null"]}
    assert dialect(schema, ToolsProfile()) is schema


DEEP = {
    "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": "string"}, "c/d": {"type": "null"}, "e~f": {"type": "array"}}
}


@pytest.mark.parametrize(
    ("ref", "becomes"),
    [
        ({"$ref": "#/$defs/a"}, {"type": "string"}),
        ({"$ref": "#/$defs/c~1d"}, {"type": "null"}),
        ({"$ref": "#/$defs/e~0f"}, {"type": "array"}),
        ({"$ref": "#/$defs/none"}, {"type": "object"}),
        ({"$ref": "#/$defs/none", "title": "t"}, {"title": "t"}),
        ({"$ref": "#/$defs/b", "type": "integer"}, {"type": "integer"}),
        ({"$ref": "other.json"}, {"type": "object"}),
        ({"$ref": "#/$defs/b/type"}, {"type": "object"}),
        ({"enum": [{"$ref": "#/$defs/b"}]}, {"enum": [{"$ref": "#/$defs/b"}]}),
        ({"anyOf": [{"$ref": "#/$defs/b"}, 5]}, {"anyOf": [{"type": "string"}, 5]}),
        ({"items": {"items": {"$ref": "#/$defs/b"}}}, {"items": {"items": {"type": "string"}}}),
    ],
)
def test_what_is_referred_to_stands_in_its_place(ref: dict[str, Any], becomes: dict[str, Any]) -> None:
    schema = {**DEEP, "definitions": {}, "properties": {"x": ref}}
    assert dialect(schema, ToolsProfile(schema_refs="inline")) == {"properties": {"x": becomes}}


def test_how_deep_a_schema_that_refers_to_itself_goes() -> None:
    schema = {"properties": {"x": {"$ref": "#"}}}
    inlined, depth = dialect(schema, ToolsProfile(schema_refs="inline")), 0
    while "properties" in inlined:
        inlined, depth = inlined["properties"]["x"], depth + 1
    assert (inlined, depth) == ({"type": "object"}, 9)


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ({"type": ["string"]}, {"type": "string"}),
        ({"type": ["null"]}, {}),
        ({"type": ["null", "string"], "title": "t"}, {"type": "string", "title": "t", "nullable": True}),
        (
            {"type": ["a", "b", "null"]},
            {"anyOf": [{"type": "a"}, {"type": "b"}], "nullable": True},
        ),
        ({"type": "string"}, {"type": "string"}),
        ({"properties": {"type": {"type": ["string"]}}}, {"properties": {"type": {"type": "string"}}}),
        ({"anyOf": [{"type": ["string"]}]}, {"anyOf": [{"type": "string"}]}),
        ({"default": {"type": ["string"]}}, {"default": {"type": ["string"]}}),
        ({"properties": {"a": True}}, {"properties": {"a": True}}),
    ],
)
def test_one_type_each(given: dict[str, Any], becomes: dict[str, Any]) -> None:
    assert dialect(given, ToolsProfile(schema_types="single")) == becomes


@pytest.mark.parametrize("name", ["properties", "$defs", "definitions", "patternProperties", "dependentSchemas"])
def test_names_are_no_keywords(name: str) -> None:
    given = {name: {"title": {"title": "t", "type": "string"}}, "items": {"title": "t"}, "title": "t"}
    assert dialect(given, ToolsProfile(schema_drop=["title"])) == {name: {"title": {"type": "string"}}, "items": {}}


@pytest.mark.parametrize("word", ["const", "default", "enum", "examples", "example"])
def test_data_are_no_schema(word: str) -> None:
    assert dialect({word: {"title": "t"}, "title": "t"}, ToolsProfile(schema_drop=["title"])) == {word: {"title": "t"}}


@pytest.mark.parametrize("holder", ["$defs", "definitions"])
def test_a_reference_beside_its_definitions_stays(holder: str) -> None:
    alone = ToolsProfile(schema_refs="alone")
    given = {"$ref": "#/x", holder: {"x": {"$ref": "#/y", "title": "t"}}, "title": "t"}
    assert dialect(given, alone) == {"$ref": "#/x", holder: {"x": {"$ref": "#/y"}}, "title": "t"}


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        (
            {"properties": {"a": {"type": "string"}}, "required": ["a"], "anyOf": [{"properties": {"a": {}, "b": {}}}]},
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]},
        ),
        (
            {"allOf": [{"properties": {"a": {}}, "required": ["a", "z"]}, {"properties": {"b": {}}}], "title": "t"},
            {"type": "object", "title": "t", "properties": {"a": {}, "b": {}}, "required": ["a"]},
        ),
        (
            {"oneOf": [{"properties": {"a": {}}, "required": ["a"]}, True]},
            {"type": "object", "properties": {"a": {}}, "required": []},
        ),
        ({"enum": ["a"]}, {"type": "object", "properties": {}, "required": []}),
        ({"not": {}}, {"type": "object", "properties": {}, "required": []}),
        ({"properties": {"a": {"anyOf": []}}}, {"properties": {"a": {"anyOf": []}}}),
    ],
)
def test_a_plain_object_at_the_root(given: dict[str, Any], becomes: dict[str, Any]) -> None:
    assert dialect(given, ToolsProfile(schema_root="object")) == becomes
