"""What web searches found travels with the client, in the envelope of a reasoning item, and becomes tool results again.

The client has no use for what the model read, and most keep only a web_search_call's `action`; so the calls as the
model made them, and their results, are sealed beside its reasoning.
"""

from collections import deque
from collections.abc import Sequence

from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import Seal, recall


def sealed_finding(item_id: str, call_id: str, name: str, arguments: str, text: str) -> JsonObject:
    """One call and its result, for `Thought.findings`; `name` and `arguments` are the model's own."""
    return {"id": item_id, "call_id": call_id, "name": name, "arguments": arguments, "text": text}


def with_findings(items: Sequence[wire.Item], seal: Seal, ledger: Ledger) -> list[wire.Item]:
    """The input with its web_search_call items as the function calls that they were, and their results.

    A call whose result did not come back is dropped: the model would only see that it asked.
    """
    if not any(isinstance(item, wire.WebSearchCall) for item in items):
        return list(items)
    findings = [_findings(item, seal) if isinstance(item, wire.Reasoning) else [] for item in items]
    by_id = {finding["id"]: finding for found in findings for finding in found}
    # Older clients send items back without their ids; then the order tells.
    in_order = deque(by_id.values())
    expanded: list[wire.Item] = []
    for item, found in zip(items, findings, strict=True):
        if isinstance(item, wire.WebSearchCall):
            finding = by_id.get(item.id) if item.id else (in_order.popleft() if in_order else None)
            if finding is None:
                ledger.add("dropped", "input.web_search_call", "what it found did not come back with it")
            else:
                expanded.append(_call(finding))
        else:
            expanded.append(item)
            expanded += [_result(finding) for finding in found]
    return expanded


def _findings(item: wire.Reasoning, seal: Seal) -> list[JsonObject]:
    thought, _ = recall(item, seal)
    names = ("id", "call_id", "name", "arguments", "text")
    return [entry for entry in thought.findings if all(isinstance(entry.get(name), str) for name in names)]


def _call(finding: JsonObject) -> wire.FunctionCall:
    return wire.FunctionCall(
        type="function_call", name=finding["name"], arguments=finding["arguments"], call_id=finding["call_id"]
    )


def _result(finding: JsonObject) -> wire.CallOutput:
    return wire.CallOutput.model_validate(
        {"type": "function_call_output", "call_id": finding["call_id"], "output": finding["text"]}
    )
