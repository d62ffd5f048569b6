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
