"""Tool calls of the history become the `tool_calls` of chat messages."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.chat import ChatToolCall
from responses_gateway.protocol.json import JsonObject, dumps_text
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.repair.request_repairs import as_object
from responses_gateway.translate.tools.declarations import INPUT_FIELD
from responses_gateway.translate.tools.declared_tool import Kind
from responses_gateway.translate.tools.table import ToolTable

type Call = (
    wire.FunctionCall
    | wire.CustomToolCall
    | wire.ToolSearchCall
    | wire.LocalShellCall
    | wire.ShellCall
    | wire.ApplyPatchCall
    | wire.ComputerCall
)


def chat_tool_call(call: Call, call_id: str, tools: ToolTable, ledger: Ledger) -> ChatToolCall:
    """Make the entry of `tool_calls` for a call of the history."""
    kind, namespace, name, arguments = _call_parts(call)
    rendered = as_object(arguments)
    if rendered != arguments:
        # Many upstreams parse the calls of the history, and refuse the whole session for one that is broken.
        ledger.add("repaired", f"input.{call.type}.arguments", "sent as a JSON object, which they are not")
        arguments = rendered
    wire_name = tools.wire_name(kind, namespace, name)
    return {"id": call_id, "type": "function", "function": {"name": wire_name, "arguments": arguments}}


def call_id_of(call: Call) -> str | None:
    return call.call_id if call.call_id is not None else getattr(call, "id", None)


def count_calls(items: Sequence[wire.Item]) -> Counter[str]:
    """How many calls of the history have each id."""
    return Counter(
        call_id_of(item) or ""
        for item in items
        if isinstance(
            item,
            wire.FunctionCall
            | wire.CustomToolCall
            | wire.ToolSearchCall
            | wire.LocalShellCall
            | wire.ShellCall
            | wire.ApplyPatchCall
            | wire.ComputerCall,
        )
    )


def distinct_ids(call_ids: list[str]) -> list[str]:
    """Number repeated ids: upstreams tell the results of one message apart by id."""
    seen: dict[str, int] = {}
    distinct = []
    for call_id in call_ids:
        seen[call_id] = seen.get(call_id, 0) + 1
        distinct.append(call_id if seen[call_id] == 1 else f"{call_id}_{seen[call_id]}")
    return distinct


def nine_character_id(call_id: str) -> str:
    """Turn an id into the form that Mistral takes; the same id always gives the same result."""
    if len(call_id) == 9 and call_id.isascii() and call_id.isalnum():
        return call_id
    return hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:9]


def _call_parts(call: Call) -> tuple[Kind, str | None, str, str]:
    """Return kind, namespace, name and arguments of a call, as the model made it."""
    match call:
        case wire.FunctionCall():
            return "function", call.namespace, call.name, call.arguments
        case wire.CustomToolCall():
            return "custom", call.namespace, call.name, dumps_text({INPUT_FIELD: call.input})
        case wire.ToolSearchCall():
            arguments = call.arguments
            text = arguments if isinstance(arguments, str) else dumps_text(arguments if arguments is not None else {})
            return "tool_search", None, "tool_search", text
        case wire.LocalShellCall():
            action = {key: value for key, value in call.action.items() if key != "type"}
            return "local_shell", None, "local_shell", dumps_text(action)
        case wire.ShellCall():
            return "shell", None, "shell", dumps_text(call.action)
        case wire.ApplyPatchCall():
            return "apply_patch", None, "apply_patch", dumps_text(call.operation)
        case wire.ComputerCall():
            return "computer", None, "computer", dumps_text(_actions(call))
    raise AssertionError(call)


def _actions(call: wire.ComputerCall) -> JsonObject:
    """The actions as the model wrote them: clients add the fields that an action does not have as null."""
    if call.actions is None:
        return {"action": _given(call.action or {})}
    return {"actions": [_given(action) for action in call.actions]}


def _given(action: JsonObject) -> JsonObject:
    return {name: value for name, value in action.items() if value is not None}
