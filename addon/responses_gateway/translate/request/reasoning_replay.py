"""Reasoning of earlier turns goes back to the upstream, in the form that its profile names."""

from collections.abc import Sequence

from responses_gateway.catalogue.providers.profile import ReasoningProfile
from responses_gateway.protocol.chat import ChatMessage, ChatToolCall
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import CarriedReasoning
from responses_gateway.translate.request.tool_calls import Call


def give_reasoning_back(
    reasoning: CarriedReasoning, message: ChatMessage, rule: ReasoningProfile, ledger: Ledger
) -> None:
    """Put `reasoning` into the assistant message that it led to, in the upstream's field and form."""
    if rule.replay == "never":
        if reasoning:
            ledger.add("dropped", "input.reasoning", "the upstream does not take earlier reasoning", loss=False)
        return
    if rule.replay == "details" and reasoning.details:
        message["reasoning_details"] = reasoning.details
    elif rule.replay == "details" and reasoning.text:
        message[rule.field] = reasoning.text  # type: ignore[literal-required]
    elif rule.replay == "parts" and reasoning.text:
        text = message["content"]
        message["content"] = [
            {"type": "thinking", "thinking": [{"type": "text", "text": reasoning.text}]},
            *([{"type": "text", "text": text}] if text else ()),
        ]
    elif rule.replay == "text" and (reasoning.text or rule.placeholder is not None):
        if not reasoning.text:
            ledger.add("added", f"messages.{rule.field}", "a placeholder: the upstream insists on it")
        message[rule.field] = reasoning.text or rule.placeholder  # type: ignore[literal-required]


def give_signatures_back(
    reasoning: CarriedReasoning,
    calls: Sequence[Call],
    rendered: list[ChatToolCall],
    rule: ReasoningProfile,
    ledger: Ledger,
) -> None:
    """Put signatures back on the calls that they came with; `rendered` are the chat forms of `calls`."""
    if not rule.signatures:
        if reasoning.calls:
            why = "signatures of calls: the upstream does not take them"
            ledger.add("dropped", "input.reasoning", why, loss=False)
        return
    signatures = reasoning.calls
    for call, chat_call in zip(calls, rendered, strict=True):
        # A search has no id of its own besides that of its item.
        known_as = (call.call_id, getattr(call, "id", None))
        if extra := next((signatures[name] for name in known_as if name in signatures), None):
            chat_call["extra_content"] = extra
    if rule.signature_placeholder is not None and "extra_content" not in rendered[0]:
        ledger.add("added", "messages.tool_calls", "a placeholder signature: the upstream insists on one")
        rendered[0]["extra_content"] = {"google": {"thought_signature": rule.signature_placeholder}}
