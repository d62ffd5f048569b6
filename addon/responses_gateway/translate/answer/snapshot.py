"""The Response object: the answer so far, with the parameters of the request echoed as OpenAI's API does."""

from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import ResponsesRequest


class Snapshot:
    """Renders the Response object of one turn at any moment.

    Every field of the Open Responses specification is present, and null where it has no value. `user` and `prompt`,
    which the specification lacks, are present only when the client sent them.
    """

    def __init__(self, request: ResponsesRequest, response_id: str, created_at: int) -> None:
        self.id = response_id
        self.created_at = created_at
        self._settings = _settings(request)

    def render(
        self,
        status: str,
        *,
        output: list[JsonObject] | None = None,
        usage: JsonObject | None = None,
        error: JsonObject | None = None,
        incomplete_reason: str | None = None,
        completed_at: int | None = None,
    ) -> JsonObject:
        """`completed_at` in seconds since the epoch; `output` holds finished items in order."""
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "completed_at": completed_at,
            "status": status,
            "error": error,
            "incomplete_details": {"reason": incomplete_reason} if incomplete_reason else None,
            "output": output or [],
            "usage": usage,
            **self._settings,
        }


def _settings(request: ResponsesRequest) -> JsonObject:
    reasoning = request.reasoning.model_dump(exclude_none=True) if request.reasoning else {}
    text = request.text
    return {
        "background": bool(request.background),
        "conversation": _conversation(request.conversation),
        "frequency_penalty": _given(request.frequency_penalty, 0.0),
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "metadata": request.metadata or {},
        "model": request.model,
        "parallel_tool_calls": _given(request.parallel_tool_calls, True),
        "presence_penalty": _given(request.presence_penalty, 0.0),
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": request.prompt_cache_key,
        "prompt_cache_retention": request.prompt_cache_retention,
        "reasoning": {"effort": None, "summary": None, **reasoning},
        "safety_identifier": request.safety_identifier,
        "service_tier": request.service_tier or "default",
        "store": _given(request.store, True),
        "temperature": _given(request.temperature, 1.0),
        "text": {
            "format": _format(text.format if text and text.format else {"type": "text"}),
            "verbosity": (text.verbosity if text else None) or "medium",
        },
        "tool_choice": _given(request.tool_choice, "auto"),
        "tools": [_tool(tool) for tool in request.tools or ()],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": _given(request.top_p, 1.0),
        "truncation": request.truncation or "disabled",
        **({"user": request.user} if request.user is not None else {}),
        **({"prompt": _prompt(request.prompt)} if request.prompt is not None else {}),
    }


def _prompt(value: JsonObject) -> JsonObject:
    return {"id": value.get("id"), "variables": value.get("variables"), "version": value.get("version")}


def _given(value: object, default: object) -> object:
    return default if value is None else value


def _conversation(value: object) -> JsonObject | None:
    if isinstance(value, str):
        return {"id": value}
    return value if isinstance(value, dict) else None


def _format(value: JsonObject) -> JsonObject:
    if value.get("type") == "json_schema":
        return {"description": None, **value, "strict": bool(value.get("strict"))}
    return value


_SECRETS = frozenset({"authorization", "headers"})
"""Fields of a hosted tool that are the client's secrets; they are not stored with the response."""


def _tool(tool: JsonObject) -> JsonObject:
    if tool.get("type") == "mcp":
        return {name: value for name, value in tool.items() if name not in _SECRETS}
    if tool.get("type", "function") != "function":
        return tool
    flat = tool["function"] if isinstance(tool.get("function"), dict) else tool
    return {"type": "function", "description": None, "parameters": None, "strict": None, **flat}
