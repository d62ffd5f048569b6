"""Walks the parameter types of openai-python: each field, each alternative of a Literal and each member of a Union.

A `Variant` is two values that differ in one place alone, so that what becomes of that place can be seen in what becomes of
the values.
"""

import collections.abc
from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import typing_extensions

Json = dict[str, Any]

ABSENT: Any = object()
"""Stands for a field that is not there."""

_UNIONS = (Union, UnionType)
_LITERALS = (Literal, typing_extensions.Literal)
_LISTS = (list, collections.abc.Iterable, collections.abc.Sequence)


class Variant(NamedTuple):
    """`value` and `base` differ in what stands at `path`; `base` may be ABSENT."""

    path: str
    value: Any
    base: Any


def required_and_all(kind: Any) -> tuple[Json, frozenset[str]]:
    """The types of the fields of a TypedDict, and which of them have to be there."""
    hints = get_type_hints(kind, include_extras=True)
    # Annotations that are text hide from `__required_keys__` what they say.
    required = frozenset(name for name, hint in hints.items() if get_origin(hint) is typing_extensions.Required)
    return {name: _bare(hint) for name, hint in hints.items()}, required


def sample(hint: Any) -> Any:
    """The smallest value of a type."""
    origin = get_origin(hint)
    if origin in _LITERALS:
        return get_args(hint)[0]
    if origin in _UNIONS:
        return sample(_members(hint)[0])
    if origin in _LISTS:
        return [sample(get_args(hint)[0])]
    if origin is dict or hint is dict:
        return {"made_up": "x"}
    if typing_extensions.is_typeddict(hint):
        hints, required = required_and_all(hint)
        return {name: sample(hints[name]) for name in hints if name in required}
    return {str: "x", int: 3, float: 0.5, bool: True}.get(hint, {"type": "object"} if hint is object else "x")


def variants(hint: Any, seen: tuple[Any, ...] = ()) -> Iterator[Variant]:
    """All variants of a value of this type, in place of nothing."""
    origin = get_origin(hint)
    if origin in _UNIONS:
        for member in _members(hint):
            yield from variants(member, seen)
    elif origin in _LITERALS:
        for word in get_args(hint):
            yield Variant(f"={word}", word, ABSENT)
    elif origin in _LISTS:
        for inner in variants(get_args(hint)[0], seen):
            yield Variant(inner.path, [inner.value], ABSENT if inner.base is ABSENT else [inner.base])
    elif typing_extensions.is_typeddict(hint):
        if hint not in seen:
            yield from _of_fields(hint, (*seen, hint))
    elif hint is bool:
        yield from (Variant("=true", True, ABSENT), Variant("=false", False, ABSENT))
    else:
        yield Variant("", sample(hint), ABSENT)


def _of_fields(kind: Any, seen: tuple[Any, ...]) -> Iterator[Variant]:
    hints, required = required_and_all(kind)
    whole = sample(kind)
    label = f"[{name}]" if (name := whole.get("type")) is not None or (name := whole.get("role")) is not None else ""
    yield Variant(label, whole, ABSENT)
    for name, hint in hints.items():
        for inner in variants(hint, seen):
            value = {**whole, name: inner.value}
            base = whole if inner.base is ABSENT else {**whole, name: inner.base}
            if value == base:
                continue
            yield Variant(f"{label}.{name}{inner.path}", value, base)
        if name in required and hint is str:
            yield Variant(f"{label}.{name}", {**whole, name: "another"}, whole)


def _members(hint: Any) -> list[Any]:
    return [member for member in get_args(hint) if member is not type(None)]


def _bare(hint: Any) -> Any:
    """A type without Required."""
    return get_args(hint)[0] if get_origin(hint) is typing_extensions.Required else hint
