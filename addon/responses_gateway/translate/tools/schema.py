"""Rewrites JSON schemas in the dialect that an upstream understands."""

from collections.abc import Mapping

from responses_gateway.catalogue.providers.profile import ToolsProfile
from responses_gateway.protocol.json import JsonObject

_NAMED = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
"""Keywords whose value maps names, which are no keywords, to schemas."""

_LITERAL = frozenset({"const", "default", "enum", "examples", "example"})
"""Keywords whose value is data, not a schema."""

_ROOT_UNIONS = ("anyOf", "oneOf", "allOf", "enum", "not")
_INLINE_DEPTH = 8
"""How deep `$ref`s are followed: a schema that refers to itself has no end."""


def dialect(schema: JsonObject, profile: ToolsProfile) -> JsonObject:
    """Rewrite `schema` for the upstream of `profile`; returns `schema` itself when nothing has to change."""
    if profile.schema_refs == "inline":
        schema = _inlined(schema, schema, 0)
        schema = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
    if profile.schema_drop or profile.schema_refs == "alone" or profile.schema_types == "single":
        schema = _Rewriter(profile).rewrite(schema)
    if profile.schema_root == "object" and any(word in schema for word in _ROOT_UNIONS):
        schema = _plain_root(schema)
    return schema


class _Rewriter:
    def __init__(self, profile: ToolsProfile) -> None:
        self._dropped = frozenset(profile.schema_drop)
        self._refs_alone = profile.schema_refs == "alone"
        self._single_type = profile.schema_types == "single"

    def rewrite(self, schema: JsonObject) -> JsonObject:
        if self._refs_alone and "$ref" in schema and "$defs" not in schema and "definitions" not in schema:
            return {"$ref": schema["$ref"]}
        rewritten = {key: self._value(key, value) for key, value in schema.items() if key not in self._dropped}
        return self._with_one_type(rewritten) if self._single_type else rewritten

    def _value(self, key: str, value: object) -> object:
        if key in _LITERAL:
            return value
        if isinstance(value, list):
            return [self.rewrite(entry) if isinstance(entry, dict) else entry for entry in value]
        if not isinstance(value, dict):
            return value
        if key in _NAMED:
            return {name: self.rewrite(entry) if isinstance(entry, dict) else entry for name, entry in value.items()}
        return self.rewrite(value)

    def _with_one_type(self, schema: JsonObject) -> JsonObject:
        types = schema.get("type")
        if not isinstance(types, list):
            return schema
        others = [name for name in types if name != "null"]
        nullable = {"nullable": True} if len(others) < len(types) else {}
        if len(others) == 1:
            return {**schema, "type": others[0], **nullable}
        without = {key: value for key, value in schema.items() if key != "type"}
        return {**without, "anyOf": [{"type": name} for name in others], **nullable} if others else without


def _inlined(value: JsonObject, root: JsonObject, depth: int) -> JsonObject:
    reference = value.get("$ref")
    if isinstance(reference, str):
        siblings = {key: entry for key, entry in value.items() if key != "$ref"}
        target = _resolve(reference, root)
        if target is None or depth >= _INLINE_DEPTH:
            return siblings or {"type": "object"}
        return {**_inlined(target, root, depth + 1), **siblings}
    return {key: entry if key in _LITERAL else _inlined_entry(entry, root, depth) for key, entry in value.items()}


def _inlined_entry(entry: object, root: JsonObject, depth: int) -> object:
    if isinstance(entry, dict):
        return _inlined(entry, root, depth)
    if isinstance(entry, list):
        return [_inlined_entry(inner, root, depth) for inner in entry]
    return entry


def _resolve(reference: str, root: JsonObject) -> JsonObject | None:
    if not reference.startswith("#"):
        return None
    target: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            key = step.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if isinstance(target, dict) else None
    return target if isinstance(target, dict) else None


def _plain_root(schema: JsonObject) -> JsonObject:
    """One object with the properties of all branches; what only some branches have is optional."""
    properties: JsonObject = dict(_mapping(schema.get("properties")))
    required = set(schema.get("required") or ())
    for word in ("allOf", "anyOf", "oneOf"):
        branches = [branch for branch in schema.get(word) or () if isinstance(branch, dict)]
        for branch in branches:
            properties = {**_mapping(branch.get("properties")), **properties}
        if word == "allOf":
            required |= {name for branch in branches for name in branch.get("required") or ()}
    kept = {key: value for key, value in schema.items() if key not in _ROOT_UNIONS}
    return {**kept, "type": "object", "properties": properties, "required": sorted(required & properties.keys())}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
