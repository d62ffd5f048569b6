"""Input items as they are stored and listed: each with an id, and complete in the sense of OpenAI's types."""

from collections.abc import Callable, Sequence

from pydantic import TypeAdapter

from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import CallOutput, Item, Message, Wire

_ITEMS: TypeAdapter[list[Item]] = TypeAdapter(list[Item])

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "compaction": "cmp",
    "mcp_approval_response": "mcpa",
}
_WITHOUT_STATUS = frozenset(
    (
        *("reasoning", "compaction", "compaction_summary", "additional_tools"),
        *("custom_tool_call", "custom_tool_call_output"),
        *("mcp_list_tools", "mcp_approval_request", "mcp_approval_response"),
        *("program", "multi_agent_call", "multi_agent_call_output", "configuration_update"),
    )
)


def stored_items(items: Sequence[Wire], new_id: Callable[[str], str]) -> list[JsonObject]:
    """Parsed input items as JSON objects to store."""
    return [_stored(item, new_id) for item in items]


def parsed_items(items: Sequence[JsonObject]) -> list[Item]:
    """Stored items, parsed for a request's input. Raises ValueError for values that are no items."""
    return _ITEMS.validate_python(items)


def _stored(item: Wire, new_id: Callable[[str], str]) -> JsonObject:
    kind: str = getattr(item, "type", None) or "item"
    stored = {"type": kind, **item.model_dump(exclude_unset=True)}
    if not stored.get("id"):
        stored["id"] = new_id(_PREFIXES.get(kind, "item"))
    if isinstance(item, Message):
        stored["content"] = [_part(part, item.role) for part in stored.get("content", ())]
    if isinstance(item, CallOutput):
        stored["output"] = _output(stored.get("output"))
    if kind == "reasoning":
        stored.setdefault("summary", [])
    if kind not in _WITHOUT_STATUS and not stored.get("status"):
        stored["status"] = "completed"
    return stored


def _output(output: object) -> object:
    """The output of a call; plain text as the string that clients send and look for."""
    match output:
        case [{"type": "input_text", "text": str() as text, **rest}] if not rest:
            return text
    return output


def _part(part: JsonObject, role: str) -> JsonObject:
    """A content part of a message; plain text is the output of the assistant, and the input of all others."""
    if role == "assistant" and part.get("type") in ("input_text", "text", "output_text"):
        return {"annotations": [], "logprobs": [], **part, "type": "output_text"}
    if part.get("type") == "text":
        return {**part, "type": "input_text"}
    if part.get("type") == "input_image":
        return {"detail": "auto", **part}
    return part
