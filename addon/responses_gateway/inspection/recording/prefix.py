"""Compares requests of a session: how long is the prefix that a request shares with the one before it?

Upstreams cache prompts by prefix, so everything after the shared prefix is paid for again.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

from responses_gateway.protocol.json import JsonObject, dumps

DEPTH = 3
"""Levels that get parts of their own: `messages`, `messages[3]`, `messages[3].content`."""


type Place = tuple[str | int, ...]
"""Keys and indexes that lead to a value."""


class Part(NamedTuple):
    """One value of a request, in the order of the rendered body."""

    where: Place
    end: int
    """Offset behind its last byte in the rendered body."""

    digest: int
    """64 bits that a `Digest` makes of place and value."""

    @property
    def path(self) -> str:
        """Such as `messages[3].content`."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.where)
        return "".join(steps).removeprefix(".")


class Outline(NamedTuple):
    """A request's values, and the size of its rendered body in bytes."""

    parts: list[Part]
    size: int


class Fingerprint(NamedTuple):
    """What is remembered of a request that was sent: enough to compare, not to restore."""

    digests: Sequence[int]
    size: int


@dataclass(frozen=True, slots=True)
class PrefixReport:
    """How a request compares with the one before it in the same session. Sizes are bytes of the rendered bodies."""

    common: int
    """Bytes from the beginning that both have; whole values only."""

    size: int
    previous_size: int
    changed: str
    """Path of the first value that differs; empty when this request only adds to the one before."""

    added: str
    """Path of the first value that is new; empty when a change comes before it, or nothing is new."""

    @property
    def share(self) -> float:
        """The part of this request that the upstream has seen before."""
        return self.common / self.size if self.size else 0.0


type Digest = Callable[[tuple[Place, bytes]], int]
"""Of a place and the value there."""


def passing_digest(part: tuple[Place, bytes]) -> int:
    """The fastest `Digest`, which means something in this process only."""
    where, rendered = part
    # The hash of an empty key is that of index 0; their representations differ.
    return hash((repr(where), rendered))


def lasting_digest(part: tuple[Place, bytes]) -> int:
    """A `Digest` that other processes understand."""
    where, rendered = part
    return int.from_bytes(blake2b(rendered, digest_size=8, key=repr(where).encode()[-64:]).digest(), signed=True)


def outline(body: JsonObject, digest: Digest = passing_digest) -> Outline:
    """The values of a request body in the order in which `dumps` renders them."""
    found: list[Part] = []
    size = _walk(body, (), 0, found, digest)
    return Outline(found, size)


def _walk(value: Any, where: Place, start: int, found: list[Part], digest: Digest) -> int:
    """Append the parts of `value`, whose rendering begins at `start`; returns where it ends."""
    if len(where) < DEPTH and isinstance(value, dict) and value:
        end = start + 1
        for key, child in value.items():
            end = _walk(child, (*where, key), end + _key_size(key), found, digest) + 1
        return end
    if len(where) < DEPTH and isinstance(value, list) and value:
        end = start + 1
        for index, child in enumerate(value):
            end = _walk(child, (*where, index), end, found, digest) + 1
        return end
    rendered = dumps(value)
    end = start + len(rendered)
    found.append(Part(where, end, digest((where, rendered))))
    return end


@lru_cache
def _key_size(key: str) -> int:
    """Bytes of a key and its colon."""
    return len(dumps(key)) + 1


def fingerprint(request: Outline) -> Fingerprint:
    """What to remember of a request."""
    return Fingerprint(array("q", (part.digest for part in request.parts)), request.size)


def compare(previous: Fingerprint, request: Outline) -> PrefixReport:
    """How `request` continues the one before it."""
    parts, before = request.parts, previous.digests
    pairs = zip(parts, before, strict=False)
    common = next(
        (at for at, (part, digest) in enumerate(pairs) if part.digest != digest), min(len(parts), len(before))
    )
    path = parts[common].path if common < len(parts) else ""
    grew = common == len(before)
    return PrefixReport(
        common=parts[common - 1].end if common else 0,
        size=request.size,
        previous_size=previous.size,
        changed="" if grew else path or "(the end is missing)",
        added=path if grew else "",
    )
