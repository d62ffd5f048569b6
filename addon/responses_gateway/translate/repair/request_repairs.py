"""Repairs of a chat request that an upstream refused: each is one small change that can be remembered and made again.

A repair is written as words joined by colons (`drop:seed`, `rename:max_tokens:max_completion_tokens`), which is how it
is kept across restarts. It changes every request in the same way, so that a session's prefix stays what it is.
"""

from collections.abc import Callable, Iterable
from typing import Any

from responses_gateway.protocol.json import JsonObject, dumps_text, object_text

type Repair = str

IGNORES_SCHEMA: Repair = "ignores:response_format"

IMAGE_LEFT_OUT = "[An image was left out: the model takes no images.]"
FILE_LEFT_OUT = "[A file was left out: the upstream takes no files.]"


def apply(body: JsonObject, repair: Repair) -> JsonObject | None:
    """A repaired copy of `body`; None when the repair changes nothing, or is none that is known."""
    kind, *words = repair.split(":")
    change = _CHANGES.get(kind)
    if change is None:
        return None
    try:
        repaired = change(body, *words)
    except (TypeError, ValueError):
        return None
    return repaired if repaired != body else None


def describe(repair: Repair) -> tuple[str, str]:
    """The field of the chat request that a repair changes, and what it does to it."""
    kind, *words = repair.split(":")
    match kind, words:
        case "drop", [name]:
            return name, "left out"
        case "rename", [old, new]:
            return old, f"sent as {new}"
        case "cap", [name, limit]:
            return name, f"at most {limit}"
        case "set", [name, value]:
            return name, f"sent as {value}"
        case "role", [old, new]:
            return "messages.role", f"{old} sent as {new}"
        case "message_drop", [name]:
            return f"messages.{name}", "left out"
        case "message_rename", [old, new]:
            return f"messages.{old}", f"sent as {new}"
        case "reasoning", [scope]:
            return "messages.reasoning_content", f"sent with every assistant message {scope}"
        case "effort_with_tools", [value]:
            return "reasoning_effort", f"sent as {value} with tools"
        case "ignores", [name]:
            return name, "taken by the upstream, and ignored"
        case "detail", [value]:
            return "messages.content.image_url.detail", f"sent as {value}" if value else "left out"
        case "schema_drop", [keyword]:
            return f"tools.parameters.{keyword}", "left out"
        case "format", [value]:
            return "response_format", f"sent as {value}"
    return {
        "images": ("messages.content.image_url", "replaced by a note"),
        "files": ("messages.content.file", "replaced by a note"),
        "system_first": ("messages.role", "later system messages sent as user messages"),
        "flatten": ("messages.content", "sent as one string"),
        "strict": ("tools.strict", "left out"),
        "arguments": ("messages.tool_calls.arguments", "sent as JSON objects"),
        "content": ("messages.content", "sent as text where it was null"),
    }.get(kind, (repair, "changed"))


def loses(repair: Repair) -> bool:
    """Whether a repaired request asks for less, or for something else, than the client did."""
    kind, _, rest = repair.partition(":")
    return kind in _LOSING and rest not in _OUR_OWN


_LOSING = frozenset({"drop", "cap", "set", "effort_with_tools", "images", "files", "detail", "strict"})
_OUR_OWN = frozenset({"stream_options", "thinking", "prompt_cache_key", "prompt_cache_retention"})
"""Fields that no client's meaning depends on."""


def _drop(body: JsonObject, name: str) -> JsonObject:
    return {key: value for key, value in body.items() if key != name}


def _rename(body: JsonObject, old: str, new: str) -> JsonObject:
    if old not in body or new in body:
        return _drop(body, old) if new in body else body
    return {new if key == old else key: value for key, value in body.items()}


def _ignores(body: JsonObject, _: str) -> JsonObject:
    """Not a change of the request: what the upstream takes and ignores is looked for in its answers."""
    return body


def _cap(body: JsonObject, name: str, limit: str) -> JsonObject:
    value = body.get(name)
    return {**body, name: int(limit)} if isinstance(value, int) and value > int(limit) else body


def _set(body: JsonObject, name: str, value: str) -> JsonObject:
    return {**body, name: value} if name in body else body


def _effort_with_tools(body: JsonObject, value: str) -> JsonObject:
    """The effort of a request that has tools, also where it names none; messages stay last."""
    if not body.get("tools"):
        return body
    return {**_drop(body, "messages"), "reasoning_effort": value, "messages": body.get("messages", [])}


def _messages(body: JsonObject, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    return {**body, "messages": [change(message) for message in body.get("messages", ())]}


def _role(body: JsonObject, old: str, new: str) -> JsonObject:
    return _messages(body, lambda message: {**message, "role": new} if message.get("role") == old else message)


def _message_drop(body: JsonObject, name: str) -> JsonObject:
    return _messages(body, lambda message: _drop(message, name))


def _message_rename(body: JsonObject, old: str, new: str) -> JsonObject:
    return _messages(body, lambda message: _rename(message, old, new))


def _reasoning(body: JsonObject, scope: str) -> JsonObject:
    """Reasoning in every assistant message (`all`), or in those with tool calls (`calls`); a space where none is."""

    def change(message: JsonObject) -> JsonObject:
        if message.get("role") != "assistant" or "reasoning_content" in message:
            return message
        if scope != "all" and not message.get("tool_calls"):
            return message
        if isinstance(message.get("reasoning"), str):
            return _rename(message, "reasoning", "reasoning_content")
        return {**message, "reasoning_content": " "}

    return _messages(body, change)


def _system_first(body: JsonObject) -> JsonObject:
    messages = body.get("messages", [])
    lead = next((at for at, message in enumerate(messages) if message.get("role") not in _SYSTEM), len(messages))
    head, rest = messages[:lead], messages[lead:]
    if len(head) > 1 and all(isinstance(message.get("content"), str) for message in head):
        head = [{**head[0], "role": "system", "content": "\n\n".join(message["content"] for message in head)}]
    rest = [{**message, "role": "user"} if message.get("role") in _SYSTEM else message for message in rest]
    return {**body, "messages": head + rest}


_SYSTEM = ("system", "developer")


def _parts(body: JsonObject, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    def in_message(message: JsonObject) -> JsonObject:
        content = message.get("content")
        return {**message, "content": [change(part) for part in content]} if isinstance(content, list) else message

    return _messages(body, in_message)


def _left_out(kind: str, note: str) -> Callable[[JsonObject], JsonObject]:
    def change(part: JsonObject) -> JsonObject:
        return {"type": "text", "text": note} if part.get("type") == kind else part

    return lambda body: _flatten(_parts(body, change))


def _detail(body: JsonObject, value: str) -> JsonObject:
    def change(part: JsonObject) -> JsonObject:
        image = part.get("image_url")
        if not isinstance(image, dict) or "detail" not in image:
            return part
        return {**part, "image_url": {**image, "detail": value} if value else _drop(image, "detail")}

    return _parts(body, change)


def _flatten(body: JsonObject) -> JsonObject:
    def change(message: JsonObject) -> JsonObject:
        content = message.get("content")
        if not isinstance(content, list) or any(part.get("type") != "text" for part in content):
            return message
        return {**message, "content": "\n".join(part.get("text", "") for part in content)}

    return _messages(body, change)


def _content(body: JsonObject) -> JsonObject:
    def change(message: JsonObject) -> JsonObject:
        return message if message.get("content") is not None else {**message, "content": ""}

    return _messages(body, change)


def _arguments(body: JsonObject) -> JsonObject:
    def change(message: JsonObject) -> JsonObject:
        calls = message.get("tool_calls")
        return {**message, "tool_calls": [_with_object(call) for call in calls]} if calls else message

    return _messages(body, change)


def _with_object(call: JsonObject) -> JsonObject:
    function = call.get("function", {})
    return {**call, "function": {**function, "arguments": as_object(function.get("arguments", ""))}}


def as_object(arguments: str) -> str:
    """The arguments of a call as the text of a JSON object; what is none becomes the one string of one."""
    rendered = object_text(arguments)
    if rendered is not None:
        return rendered
    return dumps_text({"arguments": arguments}) if arguments.strip() else "{}"


def _functions(body: JsonObject, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    tools = body.get("tools")
    if not tools:
        return body
    changed = [{**tool, "function": change(tool["function"])} if "function" in tool else tool for tool in tools]
    return {**body, "tools": changed}


def _strict(body: JsonObject) -> JsonObject:
    return _functions(body, lambda function: _drop(function, "strict"))


def _schema_drop(body: JsonObject, keyword: str) -> JsonObject:
    return _functions(
        body, lambda function: {**function, "parameters": _without(function.get("parameters", {}), keyword)}
    )


def _without(schema: Any, keyword: str) -> Any:
    """A JSON Schema without a keyword; a property of that name stays."""
    if isinstance(schema, list):
        return [_without(entry, keyword) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            kept[key] = {name: _without(inner, keyword) for name, inner in value.items()}
        elif key in ("enum", "const", "default", "examples") and key != keyword:
            kept[key] = value
        elif key != keyword:
            kept[key] = _without(value, keyword)
    return kept


def _format(body: JsonObject, kind: str) -> JsonObject:
    """Another form of structured output; what it cannot say is said to the model in words, behind all else."""
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") == kind:
        return body
    if kind == "json_schema":
        any_object = {"name": "response", "schema": {"type": "object"}}
        return {**body, "response_format": {"type": "json_schema", "json_schema": any_object}}
    schema = wanted.get("json_schema", {}).get("schema")
    told = "Answer with one JSON object and nothing else."
    if schema is not None:
        told += f" It must match this JSON Schema:\n{dumps_text(schema)}"
    messages = [*body.get("messages", ()), {"role": "user", "content": told}]
    if kind == "json_object":
        return {**body, "response_format": {"type": "json_object"}, "messages": messages}
    return {**_drop(body, "response_format"), "messages": messages}


_CHANGES: dict[str, Callable[..., JsonObject]] = {
    "drop": _drop,
    "rename": _rename,
    "cap": _cap,
    "set": _set,
    "ignores": _ignores,
    "effort_with_tools": _effort_with_tools,
    "role": _role,
    "message_drop": _message_drop,
    "message_rename": _message_rename,
    "reasoning": _reasoning,
    "system_first": _system_first,
    "images": _left_out("image_url", IMAGE_LEFT_OUT),
    "files": _left_out("file", FILE_LEFT_OUT),
    "detail": _detail,
    "flatten": _flatten,
    "content": _content,
    "arguments": _arguments,
    "strict": _strict,
    "schema_drop": _schema_drop,
    "format": _format,
}


def known(repairs: Iterable[object]) -> list[Repair]:
    """Those of `repairs` (as read from a file) that can be made."""
    return [entry for entry in repairs if isinstance(entry, str) and entry.split(":")[0] in _CHANGES]
