"""The columns of a turn: what lists, waterfalls and totals show without opening it."""

from typing import Any

from responses_gateway.inspection.archive.document import Document
from responses_gateway.inspection.archive.outcome import Outcome
from responses_gateway.inspection.archive.request_summary import RequestSummary
from responses_gateway.protocol.json import JsonObject, dumps


def columns_of(document: Document, request: RequestSummary, outcome: Outcome) -> JsonObject:
    """Values for the table `turns`, but for those that only the writer knows."""
    record, identity = document.record, request.identity
    facts, rounds = record.facts, record.rounds
    usage = facts["usage"]
    prefix = facts["prefix"]
    actions = [action for action, *_ in facts["ledger"]]
    return {
        "id": document.id,
        "flow": document.flow,
        "response": outcome.response,
        "opening": request.opening,
        "new": dumps(request.new).decode(),
        "session": identity.session,
        "thread": identity.thread,
        "parent": identity.parent,
        "agent": identity.agent,
        "kind": identity.kind,
        "client": identity.client,
        "version": identity.version,
        **{name: facts[name] for name in ("number", "model", "upstream_model", "provider", "opened")},
        "url": rounds[-1]["url"] if rounds else "",
        "sent": rounds[0]["began"] if rounds else -1,
        "answered": rounds[-1]["answered"] if rounds else -1,
        **{name: facts[name] for name in ("first_byte", "first_token", "first_text", "ended", "status", "error")},
        "spans": dumps(outcome.spans).decode(),
        "title": request.title,
        "calls": facts["calls"],
        "rounds": len(rounds),
        "healed": actions.count("repaired"),
        "changed": len(actions),
        "input_tokens": _count(usage, "input_tokens"),
        "cached_tokens": _count(usage.get("input_tokens_details"), "cached_tokens"),
        "output_tokens": _count(usage, "output_tokens"),
        "reasoning_tokens": _count(usage.get("output_tokens_details"), "reasoning_tokens"),
        "cost": facts["cost"] if facts["cost"] >= 0 else None,
        "prefix_common": _count(prefix, "common"),
        "prefix_size": _count(prefix, "size"),
        "prefix_changed": str(prefix.get("changed") or ""),
    }


def _count(values: Any, name: str) -> int:
    count = values.get(name) if isinstance(values, dict) else None
    return count if isinstance(count, int) else 0
