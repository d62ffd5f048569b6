"""Items that change the settings of a conversation from their place on (`configuration_update`)."""

from typing import Any

from responses_gateway.protocol import responses as wire
from responses_gateway.translate.ledger import Ledger


def with_updates(request: wire.ResponsesRequest, ledger: Ledger) -> wire.ResponsesRequest:
    """`request` with the settings that the last updates in its input leave it with: they replace its own."""
    changes: dict[str, Any] = {}
    for item in request.input:
        if not isinstance(item, wire.ConfigurationUpdate):
            continue
        reasoning, text = item.reasoning or {}, item.text or {}
        if isinstance(effort := reasoning.get("effort"), str):
            known = request.reasoning or wire.ReasoningOptions()
            changes["reasoning"] = known.model_copy(update={"effort": effort})
        if isinstance(format := text.get("format"), dict):
            changes["text"] = (request.text or wire.TextOptions()).model_copy(update={"format": format})
        for where, others in (("reasoning", reasoning.keys() - {"effort"}), ("text", text.keys() - {"format"})):
            for name in others:
                ledger.add("dropped", f"input.{item.type}.{where}.{name}", "an update changes nothing of the kind")
    return request.model_copy(update=changes) if changes else request
