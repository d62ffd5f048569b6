"""Where a client says which thread, session and sub-agent a request belongs to.

Codex says it in headers, in `client_metadata`, and as JSON in `x-codex-turn-metadata`, which may be in either; releases
differ in which of them they send, and in whether names are written with hyphens or underscores. Sub-agents share their
session id and `prompt_cache_key` with their parent; only the thread tells them apart.
"""

from collections.abc import Mapping
from typing import Any

from responses_gateway.protocol.json import loads

THREAD = "thread-id"
CONVERSATION = "conversation-id"
"""What Codex called its thread until 0.60."""

SESSION = "session-id"
PARENT_THREAD = ("x-codex-parent-thread-id", "parent-thread-id")
SUBAGENT = "x-openai-subagent"
"""Which kind of sub-agent asks, such as `collab_spawn`, `review`, `guardian`."""

REQUEST_KIND = "request-kind"
"""What the request is for: `turn`, `compaction`, `prewarm`."""

THREAD_SOURCE = "thread-source"

_TURN_METADATA = "x-codex-turn-metadata"
_IDENTITY = (THREAD, CONVERSATION, SESSION, *PARENT_THREAD, SUBAGENT, REQUEST_KIND, THREAD_SOURCE, _TURN_METADATA)

IDENTITY_HEADERS = tuple(sorted({spelt for name in _IDENTITY for spelt in (name, name.replace("-", "_"))}))
"""All of these headers in both spellings, for a request that is made in the place of the client's."""


class ClientFields:
    """What one request says of its sender. `headers` come by lower-case name, `metadata` is its `client_metadata`."""

    def __init__(self, headers: Mapping[str, Any], metadata: object = None) -> None:
        self._places: list[Mapping[str, Any]] = [headers]
        if isinstance(metadata, dict):
            self._places.append(metadata)
        if isinstance(turn := _parsed(self.get(_TURN_METADATA)), dict):
            self._places.append(turn)

    def get(self, *names: str) -> str:
        """The first text that is said under one of the names, hyphens or underscores; empty when there is none."""
        values = (
            place.get(spelt) for name in names for place in self._places for spelt in (name, name.replace("-", "_"))
        )
        return next((value for value in values if isinstance(value, str) and value), "")


def _parsed(text: str) -> object:
    try:
        return loads(text.encode("utf-8", "surrogatepass")) if text else None
    except (ValueError, RecursionError):
        return None
