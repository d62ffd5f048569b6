"""Walks the parameter types of openai-python: each field, each alternative of a Literal and each member of a Union.

A `Variant` is two values that differ in one place alone: what becomes of that place shows in what becomes of both.
"""

import collections.abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import typing_extensions

Json = dict[str, Any]

ABSENT: Any = object()
"""Stands for a field that is not there."""

_UNIONS = (Union, UnionType)
_LITERALS = (Literal, typing_extensions.Literal)
_LISTS = (list, collections.abc.Iterable, collections.abc.Sequence)
_SIMPLE: Mapping[Any, Any] = {str: "x", int: 3, float: 0.5, bool: True}
_OTHER: Mapping[Any, Any] = {str: "another", int: 4, float: 0.25}


class Variant(NamedTuple):
    """`value` and `base` differ in what stands at `path`; `base` may be ABSENT."""

    path: str
    value: Any
    base: Any


@dataclass(frozen=True)
class ParameterTypes:
    """`richer` has fields for objects of a `type`, beyond the required ones: what the others need to mean anything."""

    richer: Mapping[str, Json]

    def variants(self, hint: Any, within: tuple[Any, ...] = ()) -> Iterator[Variant]:
        """All variants of values of a type; `within` are the types that it stands in."""
        origin = get_origin(hint)
        if origin in _UNIONS:
            for member in _members(hint):
                yield from self.variants(member, within)
        elif origin in _LITERALS:
            for word in get_args(hint):
                yield Variant(f"={word}", word, ABSENT)
        elif origin in _LISTS:
            for inner in self.variants(get_args(hint)[0], within):
                yield Variant(inner.path, [inner.value], ABSENT if inner.base is ABSENT else [inner.base])
        elif not typing_extensions.is_typeddict(hint):
            yield from (
                [Variant("=true", True, ABSENT), Variant("=false", False, ABSENT)]
                if hint is bool
                else [Variant("", self.sample(hint), ABSENT)]
            )
        elif hint not in within:
            yield from self._of_object(hint, (*within, hint))

    def _of_object(self, kind: Any, within: tuple[Any, ...]) -> Iterator[Variant]:
        whole = self.sample(kind)
        label = f"[{name}]" if (name := whole.get("type") or whole.get("role")) else ""
        yield Variant(label, whole, ABSENT)
        for name, (hint, required) in fields(kind).items():
            for inner in self.variants(hint, within):
                value = {**whole, name: inner.value}
                others = {other: field for other, field in whole.items() if other != name}
                base = {**whole, name: inner.base} if inner.base is not ABSENT else whole if required else others
                if value != base:
                    yield Variant(f"{label}.{name}{inner.path}", value, base)
            if required and hint in _OTHER:
                yield Variant(f"{label}.{name}", {**whole, name: _OTHER[hint]}, whole)

    def sample(self, hint: Any) -> Any:
        """A small value of a type."""
        origin = get_origin(hint)
        if origin in _LITERALS:
            return get_args(hint)[0]
        if origin in _UNIONS:
            return self.sample(_members(hint)[0])
        if origin in _LISTS:
            return [self.sample(get_args(hint)[0])]
        if typing_extensions.is_typeddict(hint):
            least = {name: self.sample(kind) for name, (kind, required) in fields(hint).items() if required}
            return {**least, **self.richer.get(least.get("type", ""), {})}
        return _SIMPLE.get(hint, {"made_up": "x"})


def fields(kind: Any) -> dict[str, tuple[Any, bool]]:
    """The types of the fields of a TypedDict, and whether they have to be there."""
    # Annotations that are text hide from `__required_keys__` what they say.
    found = get_type_hints(kind, include_extras=True)
    required = {name for name, hint in found.items() if get_origin(hint) is typing_extensions.Required}
    return {name: (get_args(hint)[0] if name in required else hint, name in required) for name, hint in found.items()}


def _members(hint: Any) -> list[Any]:
    return [member for member in get_args(hint) if member is not type(None)]
