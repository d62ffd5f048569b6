"""Results of earlier calls that the gateway carried out become tool results again.

The model needs them in every later turn, but clients have no use for most of them: of a search, they keep only the
`action` of a web_search_call item. So the calls as the model made them, and their results, travel in the envelope of a
reasoning item.
"""

from collections import deque
from collections.abc import Sequence

from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import EnvelopeCodec, reasoning_of
from responses_gateway.translate.request.mcp_items import MCP_ITEMS, restored_mcp_item


def hosted_result_entry(item_id: str, call_id: str, name: str, arguments: str, text: str) -> JsonObject:
    """Make the entry of one call and its result for `CarriedReasoning.hosted_results`.

    `name` and `arguments` are those of the model.
    """
    return {"id": item_id, "call_id": call_id, "name": name, "arguments": arguments, "text": text}


def restore_hosted_results(items: Sequence[wire.Item], envelopes: EnvelopeCodec, ledger: Ledger) -> list[wire.Item]:
    """Replace the items of hosted calls in an input by the function calls that they were, and add their results.

    A call whose result did not come back is dropped: without the result, it tells the model nothing.
    """
    carried = [_entries(item, envelopes) if isinstance(item, wire.Reasoning) else [] for item in items]
    by_id = {entry["id"]: entry for entries in carried for entry in entries}
    # Older clients send items back without their ids; then the order tells.
    in_order = deque(by_id.values())
    restored: list[wire.Item] = []
    asked = {item.id for item in items if isinstance(item, wire.McpApprovalRequest)}
    for position, (item, entries) in enumerate(zip(items, carried, strict=True)):
        item_id = getattr(item, "id", None)
        if item_id in by_id and not isinstance(item, wire.Reasoning):
            restored.append(_call(by_id[item_id]))
        elif isinstance(item, wire.WebSearchCall):
            entry = in_order.popleft() if in_order and not item_id else None
            if entry is None:
                ledger.add("dropped", "input.web_search_call", "what it found did not come back with it")
            else:
                restored.append(_call(entry))
        else:
            restored += restored_mcp_item(item, position, asked) if isinstance(item, MCP_ITEMS) else [item]
            restored += [_result(entry) for entry in entries]
    return restored


def _entries(item: wire.Reasoning, envelopes: EnvelopeCodec) -> list[JsonObject]:
    reasoning, _ = reasoning_of(item, envelopes)
    names = ("id", "call_id", "name", "arguments", "text")
    return [entry for entry in reasoning.hosted_results if all(isinstance(entry.get(name), str) for name in names)]


def _call(entry: JsonObject) -> wire.FunctionCall:
    return wire.FunctionCall(
        type="function_call", name=entry["name"], arguments=entry["arguments"], call_id=entry["call_id"]
    )


def _result(entry: JsonObject) -> wire.CallOutput:
    return wire.CallOutput.model_validate(
        {"type": "function_call_output", "call_id": entry["call_id"], "output": entry["text"]}
    )
