"""Chooses the repair of a request by the text of the upstream's refusal.

The rules are a table of words from real refusals, each with the repairs to try, in order. A repair that would change
nothing is skipped, so that a request is never sent again unchanged.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.repair.request_repairs import Repair, apply

ROUNDS = 3
"""How often one request is repaired and sent again."""

MOST_READ = 8192
"""Characters of a refusal that are looked at: sixty expressions with room for other words between theirs take time."""

_NEVER_DROPPED = frozenset({"model", "messages", "tools", "stream", "input"})
_MESSAGE_FIELDS = frozenset({"role", "content", "tool_calls", "tool_call_id"})

_REFUSED = (
    r"not supported|unsupported|does ?n[o']t support|not permitted|not allowed|unrecognized|unknown|unexpected"
    r"|extra_forbidden|extra inputs|extra fields|not accept|invalid|cannot be|can't be|may not be|not available"
    r"|unavailable|must be|only|deprecated|incompatible|forbidden|not implemented|not enabled|should be|disallowed"
)
_REFUSAL = re.compile(_REFUSED, re.IGNORECASE)
_TOKEN_LIMIT = re.compile(r"max_(?:completion_)?tokens")
_NUMBER = re.compile(r"(?<![\w.])\d{3,7}(?![\w.]\d)")
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


@dataclass(frozen=True, slots=True)
class Healed:
    """A request that may be accepted, and what was changed."""

    body: JsonObject
    repair: Repair


@dataclass(frozen=True, slots=True)
class _Rule:
    words: re.Pattern[str]
    """Found in the refusal's text when the rule applies."""

    repairs: tuple[Repair, ...]
    """In the order in which they are tried."""


def _rule(words: str, *repairs: Repair) -> _Rule:
    return _Rule(re.compile(words, re.IGNORECASE | re.DOTALL), repairs)


_RULES = (
    _rule(
        r"reasoning_content.{0,200}(must be passed back|is missing|are missing|missing in|is required|must be provided)"
        r"|(missing|requires?|must (include|have)).{0,80}reasoning_content",
        "reasoning:calls",
        "reasoning:all",
    ),
    _rule(
        rf"reasoning_content.{{0,160}}({_REFUSED})|({_REFUSED}).{{0,160}}reasoning_content",
        "message_rename:reasoning_content:reasoning",
        "message_drop:reasoning_content",
    ),
    _rule(
        rf"(messages|assistant|property).{{0,80}}\breasoning\b.{{0,160}}({_REFUSED})|({_REFUSED}).{{0,80}}messages.{{0,80}}'reasoning'",
        "message_drop:reasoning",
    ),
    _rule(
        rf"reasoning_details.{{0,160}}({_REFUSED})|({_REFUSED}).{{0,160}}reasoning_details",
        "message_drop:reasoning_details",
    ),
    _rule(
        r"developer|incorrect role|unknown role|invalid role|role.{0,60}(not supported|invalid|unsupported)",
        "role:developer:system",
    ),
    _rule(
        r"system (message|prompt|role).{0,80}(beginning|first|start|once|only one|multiple)"
        r"|(only one|multiple|single) system|invalid (message|chat setting).{0,40}role.{0,10}system"
        r"|roles must alternate|\(2013\)",
        "system_first",
    ),
    _rule(
        r"max_completion_tokens.{0,40}instead|use.{0,10}max_completion_tokens"
        r"|max_tokens.{0,60}(not supported|unsupported|deprecated|not allowed)|unsupported parameter.{0,10}max_tokens",
        "rename:max_tokens:max_completion_tokens",
    ),
    _rule(
        rf"max_completion_tokens.{{0,120}}({_REFUSED})|({_REFUSED}).{{0,80}}max_completion_tokens",
        "rename:max_completion_tokens:max_tokens",
    ),
    _rule(r"tool_choice", "set:tool_choice:auto", "drop:tool_choice"),
    _rule(r"parallel_tool_calls|single tool-?calls? at once|parallel tool call", "drop:parallel_tool_calls"),
    _rule(r"stream_options|include_usage", "drop:stream_options"),
    _rule(
        r"response_format.{0,160}must be.{0,20}json_schema|expected.{0,20}json_schema",
        "format:json_schema",
        "format:words",
    ),
    _rule(
        r"response_format|json_schema|json_object|structured output|json mode|guided",
        "format:json_object",
        "format:words",
    ),
    _rule(r"thinking.{0,80}reasoning_effort|reasoning_effort.{0,80}thinking", "drop:reasoning_effort", "drop:thinking"),
    # OpenAI takes functions and reasoning together at /v1/responses only, from gpt-5.4 on.
    _rule(r"tools with reasoning_effort|reasoning_effort to .{0,3}none", "effort_with_tools:none"),
    _rule(r"reasoning_effort|reasoning effort", "drop:reasoning_effort"),
    _rule(rf"\bdetail\b.{{0,120}}({_REFUSED})|({_REFUSED}).{{0,120}}\bdetail\b", "detail:high", "detail:"),
    _rule(
        r"image_url.{0,60}expected.{0,20}text"
        r"|(image|vision|multimodal).{0,60}(not support|unsupported|not available|not enabled)"
        r"|(does ?n[o']t|not) support.{0,40}(image|vision|multimodal)|no endpoints found that support image"
        r"|not a multimodal model",
        "images",
    ),
    _rule(
        r"(part|content) type:? ?[\"'`]?file\b"
        r"|(unknown|unsupported|invalid|unexpected|does not match).{0,40}[\"'`]file[\"'`]"
        r"|(does ?n[o']t|not) support.{0,20}\bfiles?\b",
        "files",
    ),
    _rule(r"\bstrict\b", "strict"),
    _rule(
        r"(content|text).{0,60}(must be|should be|expected).{0,20}string|sequence, expected a string"
        r"|expected.{0,10}string.{0,20}(array|list)",
        "flatten",
        "content",
    ),
    _rule(r"content.{0,60}(is required|must not be null|cannot be null|can't be null|not nullable|is null)", "content"),
    _rule(
        r"(arguments|tool call).{0,80}json|function\.arguments"
        # Python's words for broken JSON, of servers (vLLM) that parse nothing of a request twice but these arguments.
        r"|(unterminated string|invalid control character|invalid \\+(escape|uXXXX)|extra data"
        r"|expecting (value|property name|'.' delimiter)).{0,60}line \d{1,9} column \d",
        "arguments",
    ),
)

_KEYWORDS = re.compile(
    rf"(?:{_REFUSED}|keyword|schema).{{0,120}}?[\"'`.\s](\$schema|\$id|\$ref|\$defs|\$comment|additionalProperties"
    r"|patternProperties|propertyNames|unevaluatedProperties|const|oneOf|not|format|pattern|minLength|maxLength|minItems"
    r"|maxItems|uniqueItems|minimum|maximum|exclusiveMinimum|exclusiveMaximum|multipleOf|default|examples|title)\b",
    re.IGNORECASE | re.DOTALL,
)

_NAMED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?:argument|parameter|property|field|key|option|input)s?(?: supplied)?:? *[\"'`]?({_NAME})[\"'`]?",
        rf"[\"'`]({_NAME})[\"'`]",
        rf": *({_NAME})\b",
        rf"\b({_NAME}) (?:is|are|was|does|cannot|must|should|may)\b",
        rf"(?:invalid|unsupported|unknown|unexpected) ({_NAME})\b",
        rf"\"(?:param|loc)\": ?\[?(?:\"[a-z]*\", ?)*\"({_NAME})\"",
    )
)
"""How refusals name the field that they refuse."""


def heal(body: JsonObject, text: str, tried: Sequence[Repair] = ()) -> Healed | None:
    """Repair a chat request by the text (or JSON) of its refusal; None when no repair is known.

    `tried` are the repairs that did not help before.
    """
    for repair in _candidates(body, text[:MOST_READ]):
        if repair not in tried and (repaired := apply(body, repair)) is not None:
            return Healed(repaired, repair)
    return None


def _candidates(body: JsonObject, text: str) -> Iterator[Repair]:
    yield from _limits(body, text)
    yield from (repair for rule in _RULES if rule.words.search(text) for repair in rule.repairs)
    if _REFUSAL.search(text):
        yield from _named(body, text)
        if body.get("tools"):
            yield from (f"schema_drop:{match[1]}" for match in _KEYWORDS.finditer(text))


def _limits(body: JsonObject, text: str) -> Iterator[Repair]:
    """Find a limit of output tokens in the refusal."""
    for name in ("max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if isinstance(value, int) and _TOKEN_LIMIT.search(text):
            told = [int(number) for number in _NUMBER.findall(text)]
            if fitting := [number for number in told if number < value]:
                yield f"cap:{name}:{max(fitting)}"


def _named(body: JsonObject, text: str) -> Iterator[Repair]:
    """Find a field that the refusal names, in the request or else in its messages."""
    names = list(dict.fromkeys(match[1] for pattern in _NAMED for match in pattern.finditer(text)))
    fields = {key for message in body.get("messages", ()) for key in message} - _MESSAGE_FIELDS
    for name in names:
        if name in body and name not in _NEVER_DROPPED:
            yield f"drop:{name}"
        elif name in fields:
            yield f"message_drop:{name}"
    if "tools" in names and body.get("tools") == []:
        yield "drop:tools"
