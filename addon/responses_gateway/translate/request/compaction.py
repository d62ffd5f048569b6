"""Compaction: one item takes the place of a long history.

The upstream writes a summary; the client gets it in an envelope of ours as the `encrypted_content` of exactly one
`compaction` item, sends it back in place of the history, and the upstream then reads the summary.
"""

from responses_gateway.protocol.responses import Compaction, CompactionTrigger, Message, ResponsesRequest
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import EnvelopeCodec

PROMPT = (
    "The conversation so far is about to be removed, and only what you write now will remain of it. Write a handoff "
    "for the assistant that continues: the user's requests and preferences (verbatim where wording matters), what was "
    "decided and why, what was done and with which results (files, commands, identifiers, errors), what is under way, "
    "and what is left to do. Write text only, and call no tools."
)
_SUMMARY = "The earlier conversation was compacted. What is known of it:\n\n"
_UNREADABLE = "[An earlier part of this conversation was compacted by another service and cannot be read here.]"


def asks_for_compaction(request: ResponsesRequest) -> bool:
    return any(isinstance(item, CompactionTrigger) for item in request.input)


def summary_request(request: ResponsesRequest) -> ResponsesRequest:
    """Make the request that lets the upstream summarise the history; its beginning stays, so that caches hold."""
    items = [item for item in request.input if not isinstance(item, CompactionTrigger)]
    items.append(Message.model_validate({"role": "user", "content": PROMPT}))
    changes = {"input": items, "text": None, "n": None, "top_logprobs": None}
    choice = {"tool_choice": "none"} if request.tools else {}
    return request.model_copy(update={**changes, **choice})


def expand(item: Compaction, envelopes: EnvelopeCodec, ledger: Ledger) -> str:
    """Return the text that the upstream reads in place of a compaction item."""
    known = expanded(item.encrypted_content or "", envelopes)
    if known is not None:
        return known
    ledger.add("changed", f"input.{item.type}", "not written by this gateway; a note stands in for it")
    return _UNREADABLE


def expanded(encrypted_content: str, envelopes: EnvelopeCodec) -> str | None:
    """The text that stands for a compaction of this gateway; None when another service made it."""
    content = envelopes.open(encrypted_content)
    summary = content.get("summary") if content else None
    return _SUMMARY + summary if isinstance(summary, str) else None
