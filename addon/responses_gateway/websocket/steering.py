"""What clients send to steer a response, and what they are told of it.

The events are those of `openai.types.responses` (`ResponseSteerEvent`, `ResponseSteerAcceptedEvent` …); what steering
means is in OpenAI's guide "Mid-turn steering".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject

MOST_STEERS = 16
"""Submissions that may wait for one response."""

_FIELDS = frozenset({"type", "previous_response_id", "input"})
_MESSAGE_FIELDS = frozenset({"type", "role", "content"})
_PARTS = frozenset({"input_text", "input_image", "input_file"})
_RESULTS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "computer_call": "computer_call_output",
    "shell_call": "shell_call_output",
    "local_shell_call": "local_shell_call_output",
    "apply_patch_call": "apply_patch_call_output",
    "tool_search_call": "tool_search_output",
}
"""What answers a call of the client's, by the type of the call."""


class SteerRefused(Exception):
    """Input that is given back. `code` is one of `ResponseSteerErrorCode`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Steer:
    """One submission that was accepted."""

    id: str
    target: str
    """The id of the response that it steers."""

    given: object
    """The input as the client sent it."""

    items: Sequence[JsonObject]
    size: int
    """Bytes of the message that it came in."""


def target_of(event: JsonObject) -> str:
    """The response that a `response.steer` is for. Raises GatewayError for an event that no answer could name."""
    for name in ("previous_response_id", "input"):
        if event.get(name) is None:
            raise GatewayError(f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name)
    target = event["previous_response_id"]
    if not isinstance(target, str):
        raise GatewayError(
            "Invalid type for 'previous_response_id': a string is expected.",
            code="invalid_type",
            param="previous_response_id",
        )
    if not isinstance(event["input"], str | list):
        raise GatewayError(
            "Invalid type for 'input': a string or a list of messages is expected.", code="invalid_type", param="input"
        )
    return target


def steer_of(event: JsonObject, size: int) -> Steer:
    """The submission in a `response.steer` of `size` bytes that `target_of` has passed. Raises SteerRefused."""
    if unknown := sorted(event.keys() - _FIELDS):
        raise _invalid(f"'response.steer' takes no '{unknown[0]}'.")
    given = event["input"]
    if not given:
        raise _invalid("'input' is empty.")
    items = [given] if isinstance(given, str) else given
    messages = [_message(item, position) for position, item in enumerate(items)]
    return Steer(f"steer_{uuid4().hex}", event["previous_response_id"], given, messages, size)


def _message(item: object, position: int) -> JsonObject:
    where = f"input[{position}]"
    if isinstance(item, str):
        return {"type": "message", "role": "user", "content": item}
    if not isinstance(item, dict) or item.get("type", "message") != "message" or item.get("role") != "user":
        raise _invalid(f"{where} is no message of the user; nothing else steers a response.")
    if unknown := sorted(item.keys() - _MESSAGE_FIELDS):
        raise _invalid(f"{where} has a field that does not belong there: '{unknown[0]}'.")
    content = item.get("content")
    if not isinstance(content, str | list) or not content:
        raise _invalid(f"{where}.content is neither text nor a list of parts.")
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, dict) or part.get("type") not in _PARTS:
            raise _invalid(f"{where}.content has a part that is no input_text, input_image or input_file.")
        if part["type"] == "input_text" and not isinstance(part.get("text"), str):
            raise _invalid(f"{where}.content has an input_text without text.")
    return {"type": "message", **item}


def _invalid(message: str) -> SteerRefused:
    return SteerRefused("invalid_input", message)


# What the client is told ----------------------------------------------------------------------------------------------


def _named(steer: Steer) -> JsonObject:
    return {"id": steer.id, "previous_response_id": steer.target}


def accepted(steer: Steer) -> JsonObject:
    """The event that says so, without its number."""
    return {"type": "response.steer.accepted", "steer": _named(steer)}


def pending(steer: Steer, required: Sequence[JsonObject]) -> JsonObject:
    """The same for input that waits until the client has sent `required`."""
    return {
        "type": "response.steer.pending",
        "steer": _named(steer),
        "reason": "waiting_for_required_input",
        "required_input": list(required),
    }


def failed(steer: Steer, code: str, message: str) -> JsonObject:
    """The same for accepted input that is given back."""
    return _failed({**_named(steer), "input": steer.given}, code, message)


def refused(event: JsonObject, refusal: SteerRefused) -> JsonObject:
    """The same for input that was never accepted."""
    steer = {"previous_response_id": event["previous_response_id"], "input": event["input"]}
    return _failed(steer, refusal.code, refusal.message)


def _failed(steer: JsonObject, code: str, message: str) -> JsonObject:
    error = {"type": "invalid_request_error", "code": code, "message": message}
    return {"type": "response.steer.failed", "steer": steer, "error": error}


def required_inputs(output: Sequence[JsonObject]) -> list[JsonObject]:
    """Stubs of what the client has to send before the response can go on. Calls that were cut off are none."""
    return [stub for item in output if (stub := _stub(item)) is not None]


def _stub(item: JsonObject) -> JsonObject | None:
    kind = item.get("type")
    if kind == "mcp_approval_request":
        return {"type": "mcp_approval_response", "approval_request_id": item.get("id")}
    if kind not in _RESULTS or item.get("status") == "incomplete" or item.get("call_id") is None:
        return None
    if kind == "tool_search_call" and item.get("execution") != "client":
        return None
    stub = {"type": _RESULTS[kind], "call_id": item["call_id"]}
    match kind:
        case "function_call":
            stub["name"] = item.get("name")
        case "tool_search_call":
            stub["execution"] = "client"
    return stub
