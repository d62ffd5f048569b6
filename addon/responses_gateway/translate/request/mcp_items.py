"""Items of MCP servers in the history become the function calls and results that they stand for."""

from collections.abc import Collection

from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.json import dumps_text

type McpItem = wire.McpListTools | wire.McpCall | wire.McpApprovalRequest | wire.McpApprovalResponse

MCP_ITEMS = (wire.McpListTools, wire.McpCall, wire.McpApprovalRequest, wire.McpApprovalResponse)

_REFUSED = "The user did not approve this call."


def restored_mcp_item(item: McpItem, position: int, asked: Collection[str]) -> list[wire.Item]:
    """The items that the model knows in place of `item`, which stands at `position` of the input.

    `asked` are the ids of all requests for approval: the call that follows one is its result. Ids of calls are those of
    their items, so that they stay the same from turn to turn.
    """
    match item:
        case wire.McpCall(approval_request_id=str() as request_id) if request_id in asked:
            return [_result(request_id, call_text(item))]
        case wire.McpCall():
            call_id = item.id or f"mcp_{position}"
            return [_call(item, call_id), _result(call_id, call_text(item))]
        case wire.McpApprovalRequest():
            return [_call(item, item.id or f"mcpr_{position}")]
        case wire.McpApprovalResponse(approve=False):
            why = f" The reason: {item.reason}" if item.reason else ""
            return [_result(item.approval_request_id, _REFUSED + why)]
        case _:
            # An approved call has an item of its own; a list of tools is part of the tool table.
            return []


def call_text(item: wire.McpCall) -> str:
    """What the model reads of a call's result."""
    if item.output is not None:
        return item.output
    error = item.error
    return _error_text(error.get("message", error.get("content"))) if isinstance(error, dict) else error or ""


def _error_text(said: object) -> str:
    """A message, or the content of a result."""
    if isinstance(said, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in said):
        return "\n".join(part["text"] for part in said)
    return said if isinstance(said, str) else dumps_text(said)


def _call(item: wire.McpCall | wire.McpApprovalRequest, call_id: str) -> wire.FunctionCall:
    return wire.FunctionCall(
        type="function_call",
        name=item.name,
        arguments=item.arguments,
        call_id=call_id,
        namespace=item.server_label,
    )


def _result(call_id: str, text: str) -> wire.CallOutput:
    return wire.CallOutput.model_validate({"type": "function_call_output", "call_id": call_id, "output": text})
