"""The body of `POST /v1/responses`, and how it is validated."""

from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps, loads
from responses_gateway.protocol.request_limits import MAX_ITEMS, MAX_TOOLS, MAX_UNKNOWN_FIELDS, check_size
from responses_gateway.protocol.responses.content import Wire
from responses_gateway.protocol.responses.items import Item
from responses_gateway.protocol.responses.validation_errors import first_problem, invalid_request


def _items(value: Any) -> Any:
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": value}]
    if not isinstance(value, list):
        raise ValueError("a string or a list of items is expected")
    return _no_longer_than(MAX_ITEMS, value)


def _no_longer_than(limit: int, value: Any) -> Any:
    if isinstance(value, list) and len(value) > limit:
        raise PydanticCustomError(
            "array_above_max_length",
            "array too long. Expected an array with maximum length {limit}, but got an array with length {length}",
            {"limit": limit, "length": len(value)},
        )
    return value


class ReasoningOptions(Wire):
    effort: str | None = None
    summary: str | None = None


class TextOptions(Wire):
    format: JsonObject | None = None
    verbosity: str | None = None


class StreamOptions(Wire):
    include_obfuscation: bool | None = None


class ResponsesRequest(Wire):
    """The body of `POST /v1/responses`."""

    model: str | None = None
    input: Annotated[list[Item], BeforeValidator(_items)] = Field(default_factory=list)
    instructions: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[list[JsonObject] | None, BeforeValidator(partial(_no_longer_than, MAX_TOOLS))] = None
    tool_choice: Literal["none", "auto", "required"] | JsonObject | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    logit_bias: JsonObject | None = None
    reasoning: ReasoningOptions | None = None
    text: TextOptions | None = None
    include: list[str] | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: str | JsonObject | None = None
    prompt: JsonObject | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, str] | None = None
    client_metadata: JsonObject | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: JsonObject | None = None
    generate: bool | None = None
    service_tier: str | None = None

    # Of chat/completions; clients of bridges send them here too.
    response_format: JsonObject | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    modalities: list[str] | None = None
    audio: JsonObject | None = None

    @property
    def prewarms(self) -> bool:
        """Whether the prompt is only to be read ahead of its turn."""
        return (self.prompt_cache_options or {}).get("prewarm") is True

    @property
    def generates(self) -> bool:
        """Whether an answer is wanted; if not, the response is empty, and only there to be continued."""
        return self.generate is not False and not self.prewarms


def parse_request(body: bytes) -> ResponsesRequest:
    """Parse and validate `body`. Raises GatewayError 400, which names `param`, for an invalid request."""
    check_size(body)
    request = _parsed(body)
    if "input" not in request.model_fields_set and request.prompt is None:
        raise GatewayError("Missing required parameter: 'input'.", code="missing_required_parameter", param="input")
    if len(request.model_extra or ()) > MAX_UNKNOWN_FIELDS:
        raise GatewayError(
            f"The request has more than {MAX_UNKNOWN_FIELDS} fields that the API does not have.",
            code="object_above_max_properties",
        )
    return request


def _parsed(body: bytes) -> ResponsesRequest:
    try:
        return ResponsesRequest.model_validate_json(body)
    except ValidationError as error:
        if first_problem(error)["type"] != "json_invalid":
            raise invalid_request(error) from None
    try:
        value = loads(body)
    except (ValueError, RecursionError) as error:
        raise GatewayError(f"The request body is not valid JSON: {error}", code="invalid_json") from None
    try:
        return ResponsesRequest.model_validate_json(dumps(value))
    except ValidationError as error:
        first = first_problem(error)
        if first["type"] == "json_invalid":
            raise GatewayError(f"The request body cannot be read: {first['msg']}.", code="invalid_json") from None
        raise invalid_request(error) from None


def items_of(output: list[JsonObject]) -> list[Item]:
    """Parse output items of the gateway as input items of a later request."""
    return ResponsesRequest.model_validate({"input": output}).input
