"""Summarizes a turn's request: whose it is, which items are new, and how the conversation began."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from responses_gateway.inspection.archive import search_text
from responses_gateway.inspection.archive.identity import Identity
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.request_items import essence, input_items, new_items
from responses_gateway.protocol.json import dumps


@dataclass(frozen=True, slots=True)
class RequestSummary:
    """Made once, when a turn is first written, because a request may have megabytes."""

    identity: Identity
    opening: str
    digests: list[int]
    """Digests of the input's items."""

    new: list[int]
    """Indexes of the items that came with this turn."""

    title: str
    text: str
    """What the new items say, for the full-text search."""

    @classmethod
    def of(cls, record: RecordedTurn, identity: Identity, before: Sequence[int]) -> "RequestSummary":
        """`before` are the digests of what was said up to the turn before."""
        items = input_items(record)
        digests = digests_of(items)
        new = list(new_items(digests, before))
        fresh = [items[at] for at in new]
        title, text = search_text.title_of(fresh), search_text.texts_of(fresh)
        return cls(identity, opening_digest(record), digests, new, title, text)


def digests_of(items: Sequence[Any]) -> list[int]:
    """Digests of items, to recognize them in later requests."""
    return [hash(essence(item)) for item in items]


def continues_conversation(record: RecordedTurn) -> bool:
    """Whether the input has something that only an earlier turn can have brought."""
    return any(
        isinstance(item, dict) and (item.get("role") == "assistant" or item.get("call_id"))
        for item in input_items(record)
    )


def opening_digest(record: RecordedTurn) -> str:
    """A digest of how the conversation begins: instructions, and all up to the first words of a user."""
    request = record.request_json if isinstance(record.request_json, dict) else {}
    digest = blake2b(dumps(request.get("instructions")), digest_size=8)
    for item in input_items(record):
        digest.update(essence(item).encode("utf-8", "replace"))
        if isinstance(item, dict) and item.get("role") == "user":
            break
    return digest.hexdigest()
