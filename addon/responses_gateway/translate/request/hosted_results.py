"""Results of earlier calls that the gateway carried out become tool results again.

The model needs them in every later turn, but clients have no use for most of them: of a search, they keep only the
`action` of a web_search_call item. So the calls as the model made them, and their results, travel in the envelope of a
reasoning item.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import EnvelopeCodec, reasoning_of
from responses_gateway.translate.request.foreign_items import (
    FOREIGN_ITEMS,
    call_result,
    picture_parts,
    restored_foreign_item,
)
from responses_gateway.translate.request.mcp_items import MCP_ITEMS, restored_mcp_item
from responses_gateway.translate.request.search_items import paired_searches

_SEARCH = "web_search_call"
"""The type of the items in entries that have none: they were made when there was no other hosted tool."""


def hosted_result_entry(
    item_type: str, item_id: str, call_id: str, name: str, arguments: str, text: str, pictures: Sequence[str] = ()
) -> JsonObject:
    """Make the entry of one call and its result for `CarriedReasoning.hosted_results`.

    `name` and `arguments` are those of the model; `pictures` are `data:` addresses.
    """
    entry: JsonObject = {
        "type": item_type,
        "id": item_id,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "text": text,
    }
    return {**entry, "pictures": list(pictures)} if pictures else entry


def restore_hosted_results(items: Sequence[wire.Item], envelopes: EnvelopeCodec, ledger: Ledger) -> list[wire.Item]:
    """Replace the items of hosted calls in an input by the function calls that they were, and add their results."""
    items = paired_searches(items)
    carried = [_entries(item, envelopes) if isinstance(item, wire.Reasoning) else [] for item in items]
    by_id = {entry["id"]: entry for entries in carried for entry in entries}
    # Older clients send items back without their ids; then the order tells.
    in_order: dict[str, deque[JsonObject]] = {}
    for one in by_id.values():
        in_order.setdefault(one.get("type", _SEARCH), deque()).append(one)
    asked = {item.id for item in items if isinstance(item, wire.McpApprovalRequest) and item.id}
    found = [_entry_of(item, by_id, in_order) for item in items]
    of_entries = {one["id"]: item for item, one in zip(items, found, strict=True) if one is not None}
    restored: list[wire.Item] = []
    for position, item in enumerate(items):
        entry = found[position]
        if entry is not None:
            restored.append(_call(entry))
        elif isinstance(item, MCP_ITEMS):
            restored += restored_mcp_item(item, position, asked)
        elif isinstance(item, FOREIGN_ITEMS):
            restored += restored_foreign_item(item, position, ledger)
        else:
            restored.append(item)
        # Clients that do not know an item leave it out; the call is then made where its result is.
        restored += [_call(one) for one in carried[position] if one["id"] not in of_entries]
        restored += [_result(one, of_entries.get(one["id"]), ledger) for one in carried[position]]
    return restored


def _entry_of(
    item: wire.Item, by_id: Mapping[str, JsonObject], in_order: Mapping[str, deque[JsonObject]]
) -> JsonObject | None:
    """The entry of a hosted call; None for other items, and for calls whose result did not come back."""
    if isinstance(item, wire.Reasoning):
        return None
    item_id = getattr(item, "id", None)
    if isinstance(item_id, str):
        return by_id.get(item_id)
    waiting = in_order.get(str(item.type)) if item_id is None else None
    return waiting.popleft() if waiting else None


def _entries(item: wire.Reasoning, envelopes: EnvelopeCodec) -> list[JsonObject]:
    reasoning, _ = reasoning_of(item, envelopes)
    names = ("id", "call_id", "name", "arguments", "text")
    return [entry for entry in reasoning.hosted_results if all(isinstance(entry.get(name), str) for name in names)]


def _call(entry: JsonObject) -> wire.FunctionCall:
    return wire.FunctionCall(
        type="function_call", name=entry["name"], arguments=entry["arguments"], call_id=entry["call_id"]
    )


def _result(entry: JsonObject, item: wire.Item | None, ledger: Ledger) -> wire.CallOutput:
    """The result of a call, with the picture that its item holds or those that came along."""
    if isinstance(item, wire.ImageGenerationCall):
        return call_result(entry["call_id"], entry["text"], picture_parts(item, ledger))
    pictures = [url for url in entry.get("pictures") or () if isinstance(url, str)]
    shown = [{"type": "input_image", "image_url": url} for url in pictures]
    return call_result(entry["call_id"], entry["text"], shown)
