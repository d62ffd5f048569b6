"""Fields of chat/completions that clients of bridges send in a Responses request: each means what it means there."""

from typing import Any

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import ReasoningOptions, ResponsesRequest, TextOptions
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.parameters import LOGPROBS


def with_chat_fields(request: ResponsesRequest, ledger: Ledger) -> ResponsesRequest:
    """`request` with what `response_format`, `logprobs` and `reasoning_effort` say, in the fields of the Responses API.

    Where those say something themselves, they count. Raises GatewayError.
    """
    changes: dict[str, Any] = {}
    if request.response_format is not None:
        changes["response_format"] = None
        wanted = _text_format(request.response_format)
        text = request.text or TextOptions()
        if _is_said(ledger, "response_format", "text.format", text.format):
            changes["text"] = text.model_copy(update={"format": wanted})
    if request.reasoning_effort is not None:
        changes["reasoning_effort"] = None
        reasoning = request.reasoning or ReasoningOptions()
        if _is_said(ledger, "reasoning_effort", "reasoning.effort", reasoning.effort):
            changes["reasoning"] = reasoning.model_copy(update={"effort": request.reasoning_effort})
    if request.logprobs is not None:
        changes["logprobs"] = None
        include = request.include or []
        if request.logprobs and LOGPROBS not in include:
            changes["include"] = [*include, LOGPROBS]
    return request.model_copy(update=changes) if changes else request


def _is_said(ledger: Ledger, field: str, own: str, value: object) -> bool:
    """Whether a field counts, because the request's own field for it says nothing; notes which of them counts."""
    if value is not None:
        ledger.add("dropped", field, f"{own} says it already")
        return False
    ledger.add("changed", field, f"taken as {own}", loss=False)
    return True


def _text_format(wanted: JsonObject) -> JsonObject:
    """What is `text.format` in the Responses API: the schema is nested one level less there."""
    if wanted.get("type") != "json_schema" or "schema" in wanted:
        return wanted
    inner = wanted.get("json_schema")
    if not isinstance(inner, dict):
        raise GatewayError(
            "Missing required parameter: 'response_format.json_schema'.",
            code="missing_required_parameter",
            param="response_format.json_schema",
        )
    return {"type": "json_schema", **inner}
