"""What a turn's request tells: whose it is, what it brings, and how the conversation began."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from responses_gateway.inspection.archive import said
from responses_gateway.inspection.archive.identity import Identity
from responses_gateway.inspection.recording.record import Record
from responses_gateway.inspection.request_items import essence, input_items, new_items
from responses_gateway.protocol.json import dumps


@dataclass(frozen=True, slots=True)
class Beginning:
    """Read once, when a turn is first written: a request may have megabytes."""

    identity: Identity
    opening: str
    digests: list[int]
    """Of the input's items."""

    new: list[int]
    """Indexes of those that came with this turn."""

    title: str
    said: str
    """What the new ones say."""

    @classmethod
    def of(cls, record: Record, identity: Identity, before: Sequence[int]) -> "Beginning":
        """`before` are the digests of what was said up to the turn before."""
        items = input_items(record)
        digests = digests_of(items)
        new = list(new_items(digests, before))
        fresh = [items[at] for at in new]
        return cls(identity, opening_of(record), digests, new, said.title_of(fresh), said.texts_of(fresh))


def digests_of(items: Sequence[Any]) -> list[int]:
    """What to remember of items, to know them again."""
    return [hash(essence(item)) for item in items]


def goes_on(record: Record) -> bool:
    """Whether the input has something that only an earlier turn can have brought."""
    return any(
        isinstance(item, dict) and (item.get("role") == "assistant" or item.get("call_id"))
        for item in input_items(record)
    )


def opening_of(record: Record) -> str:
    """A digest of how the conversation begins: instructions, and all up to the first words of a user."""
    request = record.request_json if isinstance(record.request_json, dict) else {}
    digest = blake2b(dumps(request.get("instructions")), digest_size=8)
    for item in input_items(record):
        digest.update(essence(item).encode("utf-8", "replace"))
        if isinstance(item, dict) and item.get("role") == "user":
            break
    return digest.hexdigest()
