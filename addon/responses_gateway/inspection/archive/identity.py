"""Tells to which session, thread, parent and client a recorded turn belongs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.protocol.client_headers import (
    CONVERSATION,
    PARENT_THREAD,
    REQUEST_KIND,
    SESSION,
    SUBAGENT,
    THREAD,
    THREAD_SOURCE,
    ClientFields,
)

_PRODUCT = re.compile(r"\s*([^\s/]+(?:/[A-Za-z][^\s/]*)*)[/ ]v?(\d[\w.+-]*)")
"""Such as `codex_exec/0.169.0` and `OpenAI/Python 3.5.0`."""

_LIMIT = 200
"""Characters of a name, because clients may send any."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Where a turn belongs. Fields are empty when the client does not say."""

    session: str
    thread: str
    parent: str
    """The thread that made this one."""

    agent: str
    """What kind of sub-agent runs the thread, such as `collab_spawn`, `review`, `guardian`."""

    kind: str
    """`turn`, `compaction`, `prewarm`, `title`."""

    client: str
    version: str


def identity_of(record: RecordedTurn) -> Identity:
    """The identity of a recorded turn."""
    request = record.request_json if isinstance(record.request_json, dict) else {}
    headers = {str(name).lower(): value for name, value in record.facts["headers"]}
    said = ClientFields(headers, request.get("client_metadata"))
    thread = said.get(THREAD, CONVERSATION) or str(record.facts["session"])
    session = said.get(SESSION) or thread or _conversation(request)
    is_title = said.get(THREAD_SOURCE) == "thread_title"
    compacts = record.facts["path"].partition("?")[0].endswith("/compact") or _asks_for_compaction(request)
    client, version = _client(headers)
    parent = said.get(*PARENT_THREAD)
    return Identity(
        session[:_LIMIT],
        (thread or session)[:_LIMIT],
        parent[:_LIMIT] if parent != thread else "",
        said.get(SUBAGENT)[:_LIMIT],
        "title" if is_title else (said.get(REQUEST_KIND) or ("compaction" if compacts else "turn"))[:_LIMIT],
        client,
        version,
    )


def _conversation(request: Mapping[str, Any]) -> str:
    conversation = request.get("conversation")
    if isinstance(conversation, dict):
        conversation = conversation.get("id")
    return conversation if isinstance(conversation, str) else ""


def _asks_for_compaction(request: Mapping[str, Any]) -> bool:
    items = request.get("input")
    last = items[-1] if isinstance(items, list) and items else None
    return isinstance(last, dict) and last.get("type") == "compaction_trigger"


def _client(headers: Mapping[str, Any]) -> tuple[str, str]:
    agent, originator = (str(headers.get(name) or "") for name in ("user-agent", "originator"))
    if found := _PRODUCT.match(agent):
        return found[1][:_LIMIT], found[2][:_LIMIT]
    return (agent or originator)[:_LIMIT], ""
