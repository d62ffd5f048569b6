"""The Responses API's request: wire types only.

Field names follow OpenAI's API reference (`openai.types.responses.ResponseCreateParams`) plus the input items that
Codex adds (`additional_tools`, `agent_message`, …). Types are strict where a wrong type would lose something, and
every object keeps the fields it does not know in `model_extra`, so that the translator can account for them.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic_core import PydanticCustomError

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps, loads
from responses_gateway.protocol.request_limits import MAX_ITEMS, MAX_TOOLS, MAX_UNKNOWN_FIELDS, check_size


class Wire(BaseModel):
    """An object of the wire; unknown fields are kept in `model_extra`."""

    model_config = ConfigDict(extra="allow", strict=True)


class TextPart(Wire):
    """`input_text`, `output_text`, `summary_text`, `reasoning_text` or plain `text`."""

    type: str
    text: str


class RefusalPart(Wire):
    type: Literal["refusal"]
    refusal: str


class ImagePart(Wire):
    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class FilePart(Wire):
    type: Literal["input_file"]
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None


class AudioPart(Wire):
    """`input_audio: {data, format}` (OpenAI) or `audio_url` (Codex)."""

    type: Literal["input_audio"]
    input_audio: JsonObject | None = None
    audio_url: str | None = None


class VideoPart(Wire):
    type: Literal["input_video"]
    video_url: str | None = None


class EncryptedPart(Wire):
    """What one of Codex's agents tells another: the model's own words, unless the service encrypted them."""

    type: Literal["encrypted_content"]
    encrypted_content: str | None = None


class UnknownPart(Wire):
    type: str | None = None


_TEXT_PARTS = frozenset({"input_text", "output_text", "summary_text", "reasoning_text", "text"})
_PARTS: Mapping[str, type[Wire]] = {
    "refusal": RefusalPart,
    "input_image": ImagePart,
    "input_file": FilePart,
    "input_audio": AudioPart,
    "input_video": VideoPart,
    "encrypted_content": EncryptedPart,
}


def _part_tag(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    if not isinstance(kind, str):
        return "unknown"
    return "text" if kind in _TEXT_PARTS else kind if kind in _PARTS else "unknown"


Part = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[RefusalPart, Tag("refusal")]
    | Annotated[ImagePart, Tag("input_image")]
    | Annotated[FilePart, Tag("input_file")]
    | Annotated[AudioPart, Tag("input_audio")]
    | Annotated[VideoPart, Tag("input_video")]
    | Annotated[EncryptedPart, Tag("encrypted_content")]
    | Annotated[UnknownPart, Tag("unknown")],
    Discriminator(_part_tag),
]


def _parts(value: Any) -> Any:
    """A string stands for one text part, null for none."""
    if isinstance(value, str):
        return [{"type": "input_text", "text": value}]
    return [] if value is None else value


def _json_text(value: Any) -> Any:
    """Arguments belong in a string; some clients send the object itself."""
    return dumps(value).decode() if isinstance(value, dict | list) else value


Parts = Annotated[list[Part], BeforeValidator(_parts)]
JsonText = Annotated[str, BeforeValidator(_json_text)]


class Message(Wire):
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Parts = Field(default_factory=list)
    phase: str | None = None


class Reasoning(Wire):
    type: Literal["reasoning"]
    summary: Parts = Field(default_factory=list)
    content: Parts = Field(default_factory=list)
    encrypted_content: str | None = None


class FunctionCall(Wire):
    type: Literal["function_call"]
    name: str
    arguments: JsonText = ""
    call_id: str | None = None
    namespace: str | None = None


class CustomToolCall(Wire):
    type: Literal["custom_tool_call"]
    name: str
    input: str = ""
    call_id: str | None = None
    namespace: str | None = None


class ToolSearchCall(Wire):
    type: Literal["tool_search_call"]
    arguments: Any = None
    call_id: str | None = None
    execution: str | None = None


class LocalShellCall(Wire):
    type: Literal["local_shell_call"]
    action: JsonObject = Field(default_factory=dict)
    call_id: str | None = None
    id: str | None = None


class ShellCall(Wire):
    type: Literal["shell_call"]
    action: JsonObject = Field(default_factory=dict)
    call_id: str | None = None


class ApplyPatchCall(Wire):
    type: Literal["apply_patch_call"]
    operation: JsonObject = Field(default_factory=dict)
    call_id: str | None = None


class WebSearchCall(Wire):
    """A search that the server carried out."""

    type: Literal["web_search_call"]
    id: str | None = None
    status: str | None = None
    action: JsonObject | None = None


class CallOutput(Wire):
    """The result of a function, custom or local shell call."""

    type: Literal["function_call_output", "custom_tool_call_output", "local_shell_call_output"]
    output: Annotated[Parts | JsonObject, Field(union_mode="left_to_right")] = Field(default_factory=list)
    call_id: str | None = None
    id: str | None = None
    name: str | None = None
    namespace: str | None = None


class ShellCallOutput(Wire):
    type: Literal["shell_call_output"]
    output: list[JsonObject] = Field(default_factory=list)
    call_id: str | None = None


class ApplyPatchCallOutput(Wire):
    type: Literal["apply_patch_call_output"]
    status: str = "completed"
    output: str | None = None
    call_id: str | None = None


class ToolSearchOutput(Wire):
    type: Literal["tool_search_output"]
    tools: list[JsonObject] = Field(default_factory=list)
    call_id: str | None = None


class AdditionalTools(Wire):
    type: Literal["additional_tools"]
    tools: list[JsonObject] = Field(default_factory=list)


class AgentMessage(Wire):
    """A message between Codex's agents."""

    type: Literal["agent_message"]
    author: str = ""
    recipient: str = ""
    content: Parts = Field(default_factory=list)


class Compaction(Wire):
    type: Literal["compaction", "compaction_summary", "context_compaction"]
    encrypted_content: str | None = None


class CompactionTrigger(Wire):
    type: Literal["compaction_trigger"]


class ItemReference(Wire):
    type: Literal["item_reference"] = "item_reference"
    id: str


class UnknownItem(Wire):
    type: str | None = None


_ITEMS: Mapping[str, type[Wire]] = {
    "message": Message,
    "reasoning": Reasoning,
    "function_call": FunctionCall,
    "custom_tool_call": CustomToolCall,
    "tool_search_call": ToolSearchCall,
    "local_shell_call": LocalShellCall,
    "shell_call": ShellCall,
    "apply_patch_call": ApplyPatchCall,
    "web_search_call": WebSearchCall,
    "function_call_output": CallOutput,
    "custom_tool_call_output": CallOutput,
    "local_shell_call_output": CallOutput,
    "shell_call_output": ShellCallOutput,
    "apply_patch_call_output": ApplyPatchCallOutput,
    "tool_search_output": ToolSearchOutput,
    "additional_tools": AdditionalTools,
    "agent_message": AgentMessage,
    "compaction": Compaction,
    "compaction_summary": Compaction,
    "context_compaction": Compaction,
    "compaction_trigger": CompactionTrigger,
    "item_reference": ItemReference,
}


def _item_tag(value: Any) -> str:
    if not isinstance(value, dict):
        return type(value).__name__
    kind = value.get("type")
    if kind is None:
        if "role" in value:
            return "Message"
        return "ItemReference" if set(value) == {"id"} else "UnknownItem"
    item = _ITEMS.get(kind) if isinstance(kind, str) else None
    return (item or UnknownItem).__name__


Item = Annotated[
    Annotated[Message, Tag("Message")]
    | Annotated[Reasoning, Tag("Reasoning")]
    | Annotated[FunctionCall, Tag("FunctionCall")]
    | Annotated[CustomToolCall, Tag("CustomToolCall")]
    | Annotated[ToolSearchCall, Tag("ToolSearchCall")]
    | Annotated[LocalShellCall, Tag("LocalShellCall")]
    | Annotated[ShellCall, Tag("ShellCall")]
    | Annotated[ApplyPatchCall, Tag("ApplyPatchCall")]
    | Annotated[WebSearchCall, Tag("WebSearchCall")]
    | Annotated[CallOutput, Tag("CallOutput")]
    | Annotated[ShellCallOutput, Tag("ShellCallOutput")]
    | Annotated[ApplyPatchCallOutput, Tag("ApplyPatchCallOutput")]
    | Annotated[ToolSearchOutput, Tag("ToolSearchOutput")]
    | Annotated[AdditionalTools, Tag("AdditionalTools")]
    | Annotated[AgentMessage, Tag("AgentMessage")]
    | Annotated[Compaction, Tag("Compaction")]
    | Annotated[CompactionTrigger, Tag("CompactionTrigger")]
    | Annotated[ItemReference, Tag("ItemReference")]
    | Annotated[UnknownItem, Tag("UnknownItem")],
    Discriminator(_item_tag),
]


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
    input: Annotated[list[Item], BeforeValidator(_items)]
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
    service_tier: str | None = None


def parse_request(body: bytes) -> ResponsesRequest:
    """The request in `body`; raises GatewayError 400, naming `param`, when it is none."""
    check_size(body)
    request = _parsed(body)
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
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] != "json_invalid":
            raise _invalid(first["loc"], first["type"], first["msg"]) from None
    try:
        value = loads(body)
    except (ValueError, RecursionError) as error:
        raise GatewayError(f"The request body is not valid JSON: {error}", code="invalid_json") from None
    try:
        return ResponsesRequest.model_validate_json(dumps(value))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise GatewayError(f"The request body cannot be read: {first['msg']}.", code="invalid_json") from None
        raise _invalid(first["loc"], first["type"], first["msg"]) from None


def items_of(output: list[JsonObject]) -> list[Item]:
    """Output items of ours as input items."""
    return ResponsesRequest.model_validate({"input": output}).input


_TAGS = frozenset(item.__name__ for item in _ITEMS.values()) | frozenset(_PARTS) | {"text", "unknown", "UnknownItem"}


_PLAIN_WORDS: Mapping[str, str] = {"union_tag_invalid": "Input should be an object"}
"""Instead of pydantic's words, where they speak of this module's own names."""


def _invalid(loc: tuple[int | str, ...], kind: str, message: str) -> GatewayError:
    param = _param(loc)
    if not param:
        return GatewayError("The request body must be a JSON object.", code="invalid_type")
    if kind == "missing":
        return GatewayError(f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)
    if kind == "array_above_max_length":
        return GatewayError(f"Invalid '{param}': {message}.", code=kind, param=param)
    message = _PLAIN_WORDS.get(kind, message.removeprefix("Value error, "))
    return GatewayError(f"Invalid value for '{param}': {message}.", code="invalid_value", param=param)


def _param(loc: tuple[int | str, ...]) -> str:
    """A pydantic location as OpenAI writes it: `input[3].content[0].text`."""
    path = ""
    after_index = False
    for step in loc:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not (after_index and step in _TAGS) and step.isidentifier() and not _is_branch(step, path):
            path += f".{step}" if path else step
        after_index = isinstance(step, int)
    return path


def _is_branch(step: str, path: str) -> bool:
    """Whether pydantic put the name of a union's branch (`str`, `list`) into the location."""
    return bool(path) and step in {"str", "list", "dict", "int", "float"}
