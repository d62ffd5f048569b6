"""The interface of the stores: responses with the items that led to them, and conversations.

Responses form trees: each may name the one that it continues. A response that is deleted, evicted or too old can no
longer be retrieved or continued, but its items stay as long as the history of a younger response needs them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from responses_gateway.protocol.json import JsonObject

FINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})
"""The statuses that do not change any more."""

_LONGEST_NAME = 512


class StoreError(Exception):
    """The store cannot do its work now; says why. Requests that need no stored state go on without it."""


class NotStorable(StoreError):
    """The store works, but takes no such thing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a store; what was not used for longest goes first."""

    responses: int
    bytes: int
    age: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Record:
    """One stored response. `owner` tells the clients apart: nothing of one is ever shown to another."""

    owner: str
    response: JsonObject
    """The Response object."""

    input: bytes
    """The packed list of the request's own items, each with an id."""

    events: bytes = b""
    """A closed EventLog."""

    lease: float | None = None
    """For a response that still runs: when its runner counts as dead unless it renews (seconds since the epoch)."""

    replay_key: str | None = None
    """What makes an identical request."""

    whole: Callable[[], bytes] | None = None
    """Packs what the request was made of altogether, to be stored instead when the response that it continues is gone
    by now."""

    @property
    def id(self) -> str:
        response_id: str = self.response["id"]
        return response_id

    @property
    def final(self) -> bool:
        return self.response["status"] in FINAL


class Store(Protocol):
    """Methods may be called from any thread, wait for disks and other machines, and raise StoreError."""

    def put(self, record: Record) -> None:
        """Store a response, or replace one that is not final yet. It is durable when this returns."""

    def get(self, owner: str, response_id: str) -> Record | None: ...

    def history(self, owner: str, response_id: str, *, output: bool = True) -> list[JsonObject] | None:
        """Every item up to the response's input, oldest first, and its output; None if there is no such response.

        With `output`, None also for one that cannot be continued because it still runs.
        """

    def items(self, owner: str, ids: Sequence[str]) -> dict[str, JsonObject]:
        """The items among `ids` that are known, of stored responses and of conversations."""

    def delete(self, owner: str, response_id: str) -> bool:
        """Whether there was something to delete."""

    def renew(self, owner: str, response_id: str, lease: float) -> bool:
        """Prolong a lease; False when the response became final or vanished, and its runner is to stop."""

    def add_events(self, owner: str, response_id: str, events: bytes) -> bool:
        """Take the next events (a closed EventLog) of a response that still runs, for those who follow it elsewhere.

        False when no such response runs (any more).
        """

    def live_events(self, owner: str, response_id: str, skip: int) -> list[bytes] | None:
        """What `add_events` took, but for the first `skip`; None when no such response runs (any more)."""

    def find_replay(self, owner: str, key: str) -> Record | None:
        """The latest completed response to an identical request."""

    def put_conversation(self, owner: str, conversation: JsonObject) -> None:
        """Create a conversation object, or replace its metadata."""

    def get_conversation(self, owner: str, conversation_id: str) -> JsonObject | None: ...

    def delete_conversation(self, owner: str, conversation_id: str) -> bool: ...

    def conversation_items(self, owner: str, conversation_id: str) -> list[JsonObject]:
        """Oldest first."""

    def append_items(self, owner: str, conversation_id: str, items: Sequence[JsonObject]) -> bool:
        """Add items (with ids) at the end; False when there is no such conversation."""

    def delete_item(self, owner: str, conversation_id: str, item_id: str) -> bool: ...

    def put_note(self, owner: str, name: str, value: str) -> None:
        """Keep a short text under a name, in the place of what the owner had there. As many notes are kept as
        responses, and as long."""

    def note(self, owner: str, name: str) -> str | None: ...

    def is_anothers(self, owner: str, name: str) -> bool:
        """Whether others have a note of that name, and the owner has none."""

    def close(self) -> None: ...


def is_name(name: str) -> bool:
    """Whether something that upstreams and clients may choose, such as an id, can be the name of a note."""
    try:
        return len(name.encode()) <= _LONGEST_NAME
    except UnicodeEncodeError:
        return False


def continued(items: Sequence[JsonObject]) -> list[JsonObject]:
    """The items of an answer that a next turn builds on: not the calls that were cut off."""
    return [item for item in items if not (item.get("status") == "incomplete" and item["type"].endswith("_call"))]
