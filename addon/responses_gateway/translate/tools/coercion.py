"""Coerces tool arguments to their declared JSON schema: `"1000"` and `1000.0` for an integer, `"[1]"` for an array.

Models write numbers, booleans and lists as strings and integers as floats; strict clients (Codex parses with serde)
refuse both. Only values that do not fit their schema are changed, and only when one reading of them is clear.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from responses_gateway.protocol.json import JsonObject, dumps_text, loads
from responses_gateway.translate.tools.optional_nulls import omittable

_INTEGER = re.compile(r"\s*([+-]?\d{1,18})(?:\.0+)?\s*")
_NUMBER = re.compile(r"\s*-?(?:0|[1-9]\d{0,30})(?:\.\d{1,30})?(?:[eE][+-]?\d{1,2})?\s*")
_ONE_WORD = re.compile(r"[^\s,;|'\"\[\]{}]+")
_UNCHANGED = object()
_LARGEST = 2**63
_SHOWN = 60
_MOST_CHECKS = 100_000

_TYPES: dict[type, frozenset[str]] = {
    str: frozenset({"string"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"number"}),
    type(None): frozenset({"null"}),
    list: frozenset({"array"}),
    dict: frozenset({"object"}),
}


def _to_integer(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
        return int(value)
    if isinstance(value, str) and (number := _INTEGER.fullmatch(value)):
        return int(number[1])
    return _UNCHANGED


def _to_number(value: Any) -> Any:
    return loads(value.strip()) if isinstance(value, str) and _NUMBER.fullmatch(value) else _UNCHANGED


def _to_boolean(value: Any) -> Any:
    return (
        {"true": True, "false": False}.get(value.strip().lower(), _UNCHANGED) if isinstance(value, str) else _UNCHANGED
    )


def _to_null(value: Any) -> Any:
    return None if value in ("null", "None") else _UNCHANGED


def _to_container(kind: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
            try:
                parsed = loads(value)
            except ValueError:
                return _UNCHANGED
            return parsed if isinstance(parsed, kind) else _UNCHANGED
        return _UNCHANGED

    return convert


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "integer": _to_integer,
    "number": _to_number,
    "boolean": _to_boolean,
    "array": _to_container(list),
    "object": _to_container(dict),
    "null": _to_null,
}


class Coercer:
    """Coerces the properties of one object, one after the other; each coercion adds a line to `repairs`."""

    def __init__(self, schema: JsonObject, repairs: list[str], *, whole_numbers: bool) -> None:
        self._root = schema
        self._repairs = repairs
        self._whole_numbers = whole_numbers
        self._name = ""
        self._schema: Any = None
        self._checks = 0

    def select(self, name: str) -> None:
        """The next value is the property `name`."""
        self._name = name
        try:
            self._schema = self._property(self._root, name)
        except RecursionError:  # a schema that is part of itself
            self._schema = None

    def must_see_all(self, first: str) -> bool:
        """Whether the selected property's value, which begins with `first`, may need coercion."""
        if self._schema is None:
            return False
        if first == '"':
            types = self._types(self._schema)
            return types is not None and "string" not in types
        if first in "[{":
            return self._demands(self._schema, set())
        return True

    def coerce_text(self, text: str) -> str:
        """The selected property's value as JSON text: `text` itself when it fits or cannot be coerced."""
        found: list[str] = []
        self._checks = _MOST_CHECKS
        try:
            value = loads(text)
            coerced = self._coerce(value, self._schema, self._name, found)
        except (ValueError, RecursionError):
            return text
        if coerced is value:
            return text
        self._repairs += found
        return dumps_text(coerced)

    def _resolve(self, schema: Any) -> JsonObject:
        """The schema itself, or what its `$ref` names within the document; `{}` for anything else."""
        seen: set[str] = set()
        while isinstance(schema, dict) and isinstance(ref := schema.get("$ref"), str):
            if ref in seen or not ref.startswith("#"):
                return {}
            seen.add(ref)
            target: Any = self._root
            for step in filter(None, ref[1:].split("/")):
                target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
            schema = target
        return schema if isinstance(schema, dict) else {}

    def _property(self, schema: Any, name: str) -> Any:
        """The schema of a property, or None when nothing is declared about it."""
        schema = self._resolve(schema)
        if name in (properties := _mapping(schema, "properties")):
            return properties[name]
        for part in _branches(schema, "allOf"):
            if (found := self._property(part, name)) is not None:
                return found
        return schema.get("additionalProperties")

    def _types(self, schema: Any, depth: int = 0) -> frozenset[str] | None:
        """The types a schema allows; None when it allows any."""
        schema = self._resolve(schema)
        declared = schema.get("type")
        if isinstance(declared, str):
            types = frozenset({declared})
        elif isinstance(declared, list):
            types = frozenset(kind for kind in declared if isinstance(kind, str))
        elif (branches := _branches(schema, "anyOf", "oneOf")) and depth < 16:
            each = [self._types(branch, depth + 1) for branch in branches]
            if any(one is None for one in each):
                return None
            types = frozenset[str]().union(*(one for one in each if one))
        elif (parts := _branches(schema, "allOf")) and depth < 16:
            known = [one for part in parts if (one := self._types(part, depth + 1)) is not None]
            if not known:
                return None
            types = frozenset.intersection(*known)
        else:
            return None
        return types | {"null"} if schema.get("nullable") is True else types

    def _demands(self, schema: Any, seen: set[int]) -> bool:
        """Whether a container of this schema may hold a value that needs coercion."""
        schema = self._resolve(schema)
        if not schema or id(schema) in seen:
            return False
        seen.add(id(schema))
        if omittable(schema):
            return True
        for inner in _inner(schema):
            types = self._types(inner)
            if (types is not None and "string" not in types) or self._demands(inner, seen):
                return True
        return any(self._demands(branch, seen) for branch in _branches(schema, "anyOf", "oneOf", "allOf"))

    def _coerce(self, value: Any, schema: Any, path: str, found: list[str]) -> Any:
        """The value made to fit, or the same object when it fits already or no plain reading of it does."""
        schema = self._resolve(schema)
        for part in _branches(schema, "allOf"):
            value = self._coerce(value, part, path, found)
        if branches := _branches(schema, "anyOf", "oneOf"):
            value = self._coerce_to_one(value, branches, path, found)
        types = self._types(schema)
        if types is not None and not branches and not types & _types_of(value):
            value = self._convert(value, schema, types, path, found)
        if self._whole_numbers and isinstance(value, float) and types == frozenset({"number"}):
            whole = _to_integer(value)
            if whole is not _UNCHANGED:
                found.append(_describe(path, value, "whole number"))
                value = whole
        if isinstance(value, dict):
            left_out = {name for name in omittable(schema) if value.get(name, name) is None}
            found += (f"{path}.{name}: null left out, the argument is optional" for name in left_out)
            items = {
                name: self._coerce(item, self._property(schema, name), f"{path}.{name}", found)
                for name, item in value.items()
                if name not in left_out
            }
            return items if left_out or any(items[name] is not value[name] for name in value) else value
        if isinstance(value, list):
            elements = [
                self._coerce(item, element, f"{path}[{index}]", found)
                for index, (item, element) in enumerate(zip(value, _elements(schema), strict=False))
            ]
            return elements if any(new is not old for new, old in zip(elements, value, strict=True)) else value
        return value

    def _coerce_to_one(self, value: Any, branches: list[Any], path: str, found: list[str]) -> Any:
        if any(self._fits(value, branch) for branch in branches):
            return value
        for branch in branches:
            attempt: list[str] = []
            coerced = self._coerce(value, branch, path, attempt)
            if coerced is not value and self._fits(coerced, branch):
                found += attempt
                return coerced
        return value

    def _convert(self, value: Any, schema: JsonObject, types: frozenset[str], path: str, found: list[str]) -> Any:
        for kind, conversion in _CONVERSIONS.items():
            if kind in types and (converted := conversion(value)) is not _UNCHANGED:
                found.append(_describe(path, value, kind))
                return converted
        if "array" in types and self._is_one_element(value, schema):
            found.append(_describe(path, value, "array of one"))
            return [value]
        return value

    def _is_one_element(self, value: Any, schema: JsonObject) -> bool:
        """Whether a bare scalar plainly is the one element; "ls -la" for a list of words is not."""
        items = schema.get("items")
        if isinstance(value, list | dict) or self._types(items) is None or not self._fits(value, items):
            return False
        return not isinstance(value, str) or _ONE_WORD.fullmatch(value) is not None

    def _fits(self, value: Any, schema: Any) -> bool:
        """Whether the value conforms to the schema, as far as the keywords say that decide between alternatives."""
        self._checks -= 1
        if self._checks < 0:
            raise ValueError("the schema's alternatives take too long to compare")
        if schema is False:
            return False
        schema = self._resolve(schema)
        types = self._types(schema)
        if types is not None and not types & _types_of(value):
            return False
        if "const" in schema and schema["const"] != value:
            return False
        if isinstance(allowed := schema.get("enum"), list) and value not in allowed:
            return False
        alternatives = _branches(schema, "anyOf", "oneOf")
        if alternatives and not any(self._fits(value, branch) for branch in alternatives):
            return False
        if not all(self._fits(value, part) for part in _branches(schema, "allOf")):
            return False
        if isinstance(value, dict):
            required = schema.get("required")
            if isinstance(required, list) and not all(name in value for name in required):
                return False
            return all(self._fits(item, self._property(schema, name)) for name, item in value.items())
        if isinstance(value, list):
            return all(self._fits(item, element) for item, element in zip(value, _elements(schema), strict=False))
        return True


def _types_of(value: Any) -> frozenset[str]:
    return _TYPES[type(value)]


def _mapping(schema: JsonObject, keyword: str) -> JsonObject:
    value = schema.get(keyword)
    return value if isinstance(value, dict) else {}


def _branches(schema: JsonObject, *keywords: str) -> list[Any]:
    return [branch for keyword in keywords if isinstance(found := schema.get(keyword), list) for branch in found]


def _inner(schema: JsonObject) -> Iterator[Any]:
    """The schemas of what a container may hold."""
    yield from _mapping(schema, "properties").values()
    yield from _branches(schema, "prefixItems")
    yield schema.get("items")
    yield schema.get("additionalProperties")


def _elements(schema: JsonObject) -> Iterator[Any]:
    """The schema of each element of an array, without end."""
    yield from _branches(schema, "prefixItems")
    while True:
        yield schema.get("items")


def _describe(path: str, value: Any, kind: str) -> str:
    text = dumps_text(value)
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return f"{path}: {min(_types_of(value))} {shown} -> {kind}"
