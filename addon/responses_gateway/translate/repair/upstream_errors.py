"""Translates errors of upstreams, whatever their shape, into errors to which clients react correctly.

The reaction of Codex to each status and code was measured: a 400 is shown and not repeated; `context_length_exceeded`
leads to compaction; a 429 is repeated only with Retry-After; 401, 403 and 404 are repeated six times, which helps
nobody, so that Codex gets 400 for them. SDKs repeat none of these, and have an exception of its own for each.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps_text, loads
from responses_gateway.translate.repair.error_wrappers import unwrapped

DEFAULT_RETRY_AFTER = 10.0
"""Seconds, for a rate limit that does not say when it ends."""

_LONGEST_WAIT = 86400.0
"""Seconds; who names a longer time is not believed, and counts as one who names none."""

_MESSAGE_LIMIT = 2000
"""Characters of an upstream's words that are passed on."""

_CONTEXT_OVERFLOW = re.compile(
    r"context[ _-]?(length|window|size)|maximum context|max(imum)? (model|sequence|prompt) length|prompt is too long"
    r"|too many (input )?tokens|(inputs?|prompts?|tokens|messages?) (is |are )?(too long|longer than)"
    r"|exceeds? the (available|maximum|model'?s)? ?(context|token)|exceeds the maximum number of tokens"
    r"|input token count.{0,40}exceeds|reduce the length|exceeds the limit of \d+|range of input length"
    r"|token limit exceeded|exceed(s|ed)? (the )?model('s)? token limit|max_prompt_tokens|prompt exceeds max length"
    r"|exceed max message tokens|`inputs` tokens \+|超长|超出.{0,10}(长度|上下文)",
    re.IGNORECASE,
)
_OUTPUT_LIMIT = re.compile(r"max_(completion_|output_)?tokens'?[^.]{0,60} too (large|high|big)", re.IGNORECASE)
_QUOTA = re.compile(
    r"insufficient[ _a-z]{0,8}(quota|balance)|exceeded(_| your )current[ _]quota|billing|out of credits|arrears"
    r"|payment required|insufficient.{0,20}(credit|fund)|credits?error|余额不足|欠费",
    re.IGNORECASE,
)
_RATE_LIMIT = re.compile(
    r"rate[ _-]?limit|too many (concurrent )?requests|requests? per (minute|second|day)|\b[TR]PM\b|throttl"
    r"|resource_exhausted|limit_burst_rate|concurrency limit|usage limit|请求过于频繁|并发|速率限制",
    re.IGNORECASE,
)
_OVERLOAD = re.compile(
    r"overloaded|at capacity|(server|model|service|system) is (too )?busy|request limit reached|try again later"
    r"|temporarily unavailable|no available (server|channel|worker)|服务.{0,4}(繁忙|过载)",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model[ _]?not[ _]?(found|exist)|DeploymentNotFound|(no such|unknown|invalid) model|not a valid model"
    r"|model_not_supported|model .{0,120}(does not exist|not found|not exist|is not available|is not supported$)"
    r"|does not exist or you do not have access|pinned to .{0,80}requested",
    re.IGNORECASE | re.DOTALL,
)
_REQUEST_FAULT = re.compile(
    r"badrequest|invalid[ _]?(request|argument|parameter)|not supported|unsupported"
    r"|failed to parse (tool|message|input)"
    r"|json schema error|jinja|chat template|\btemplate\b|unable to generate parser|must alternate"
    r"|is required|is missing|missing .{0,40}(field|parameter|argument)|unknown (field|variant|parameter)",
    re.IGNORECASE,
)
"""Words for permanent faults, for servers that report them as 500."""

_TRY_AGAIN = re.compile(
    r"(?:try again|retry|retry_?delay)\W{0,4}(?:in|after)?\W{0,3}(?:(\d+)h)?(?:(\d+)m)?(\d+(?:\.\d+)?) ?"
    r"(ms|milliseconds?|s|secs?|seconds?|minutes?|mins?)\b",
    re.IGNORECASE,
)

_STATUS = re.compile(r"[45][0-9]{2}")
_TAG = re.compile(r"<(/?)(?:(script|style|head)\b)?[^<>]*>", re.IGNORECASE)

_BASE_RESP_STATUSES = {
    "1001": 504,
    "1002": 429,
    "1004": 401,
    "1008": 402,
    "1033": 503,
    "1039": 429,
    "1041": 429,
    "1042": 400,
    "1026": 400,
    "1027": 400,
    "2013": 400,
    "2045": 429,
    "2049": 401,
    "2056": 429,
}
"""The HTTP status that MiniMax's `base_resp` codes stand for; 500 for all others."""


def error_in(payload: object) -> GatewayError | None:
    """The error that a chunk (or a whole body with status 200) carries; None when it carries none.

    Shapes seen: `error` as object, string or list; a list around it; MiniMax's `base_resp`; `detail`; a flat
    `{message, type, code}` without choices.
    """
    if isinstance(payload, list):
        return next((error for entry in payload if (error := error_in(entry))), None)
    if not isinstance(payload, dict):
        return None
    fault = _fault(payload)
    if fault is None:
        return None
    message, code, status = fault
    return classify(status, message, code)


def _fault(payload: JsonObject) -> tuple[str, str, int] | None:
    """Message, code and (as far as it is told) status."""
    error = payload.get("error")
    if error:
        return _words(error)
    base = payload.get("base_resp")
    if isinstance(base, dict) and base.get("status_code") not in (0, None, "0"):
        code = str(base.get("status_code"))
        return str(base.get("status_msg") or "unknown error"), code, _BASE_RESP_STATUSES.get(code, 500)
    choices = payload.get("choices")
    if choices:
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("error"):
                return _words(choice["error"])
        return None
    if choices is None and payload.get("object") in (None, "error"):
        if payload.get("detail"):
            return _words(payload["detail"])
        if isinstance(payload.get("message"), str | dict) and ("code" in payload or "type" in payload):
            return _words(payload)
    return None


def _words(error: object) -> tuple[str, str, int]:
    if isinstance(error, list):
        parts = [_words(entry) for entry in error]
        return "; ".join(message for message, _, _ in parts), next((code for _, code, _ in parts if code), ""), 500
    if not isinstance(error, dict):
        return str(error), "", 500
    message = error.get("message") or error.get("msg") or error.get("detail") or error.get("status_msg")
    if isinstance(message, dict | list):
        message = dumps_text(message)
    code = error.get("code")
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("raw"), str):
        message = f"{message}: {metadata['raw']}"
    status = int(str(code)) if _STATUS.fullmatch(str(code)) else 500
    spoken = (error.get("code"), error.get("status"), error.get("type"))
    words = next((word for word in spoken if isinstance(word, str) and word and not word.isdecimal()), "")
    return str(message or dumps_text(error)), words, status


_PUBLIC_CODES = frozenset({"server_error", "rate_limit_exceeded", "invalid_prompt", "context_length_exceeded"})
"""Those of OpenAI's codes for a failed response that a chat upstream can cause; its types forget the last one."""

_OWN_EXCEPTIONS = frozenset({401, 403, 404})
"""Permanent faults that SDKs tell apart by their status."""

_CODEX_CODES = _PUBLIC_CODES | {"insufficient_quota", "model_not_found"}


def failed_response_error(error: GatewayError, *, codex: bool) -> JsonObject:
    """The `error` of a failed response, with a code that its reader knows.

    The public API has few codes. Codex acts on more, and repeats the whole turn for every code that it does not know,
    so a permanent fault is an `invalid_prompt`.
    """
    code, message = error.code or "server_error", error.message
    if code not in (_CODEX_CODES if codex else _PUBLIC_CODES):
        known = code in _CODEX_CODES
        message = f"{message} ({code})" if known else message
        code = "invalid_prompt" if known or 400 <= error.status < 500 else "server_error"
    return {"code": code, "message": message}


def upstream_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    upstream: str,
    credential: str = "the request",
    codex: bool = False,
) -> GatewayError:
    """The error for a refused request. `upstream` names the provider, `credential` what it was shown as a key."""
    try:
        payload = loads(body) if body.strip() else None
    except (ValueError, RecursionError):
        payload = None
    if isinstance(payload, list) and payload:
        payload = payload[0]
    if isinstance(payload, dict):
        fault = _fault({**payload, "choices": None}) or (dumps_text(payload), "", status)
        message, code = fault[0], fault[1]
    else:
        message, code = _plain(body), ""
    error = classify(status, message or f"HTTP status {status} without a message", code, _retry_after(headers))
    if status in _OWN_EXCEPTIONS and error.status == 400 and not codex:
        error.status = status
    if status in (401, 403):
        error.message = f"{upstream} refused {credential} (HTTP {status}): {error.message}"
    else:
        error.message = f"{upstream} answered HTTP {status}: {error.message}"
    if 300 <= status < 400:
        where = headers.get("location", "nowhere")
        error.message = f"{error.message.rstrip('. ')}. It redirects to {where}; is the base URL right?"
    return error


def classify(status: int, message: str, code: str, retry_after: float | None = None) -> GatewayError:
    """Choose status and code by how clients react to them."""
    message = message[:_MESSAGE_LIMIT]
    evidence = f"{code} {message}"
    told = retry_after if retry_after is not None else _told_seconds(message)
    limited = status == 429 or _RATE_LIMIT.search(evidence) is not None
    message = unwrapped(message)
    if code == "context_length_exceeded" or (status in (400, 413, 422, 500) and not limited and _overflows(evidence)):
        return GatewayError(message, 400, "context_length_exceeded", "input")
    # Some speak of quota and billing for what is over in a minute: then they say so.
    if status == 402 or (_QUOTA.search(evidence) and told is None):
        return GatewayError(message, 429, "insufficient_quota", type="insufficient_quota")
    if limited:
        seconds = told or DEFAULT_RETRY_AFTER
        if _told_seconds(message) is None:
            message = f"{message.rstrip('. ')}. Please try again in {seconds:g}s."
        return GatewayError(message, 429, "rate_limit_exceeded", type="rate_limit_error", retry_after=seconds)
    if _NO_MODEL.search(evidence) or (status == 404 and "model" in evidence.lower()):
        return GatewayError(message, 400, "model_not_found", "model")
    if status in (401, 403):
        return GatewayError(message, 400, "invalid_api_key", type="authentication_error")
    if status in (408, 425, 503, 529) or (status >= 500 and _OVERLOAD.search(evidence)):
        return GatewayError(message, 503, "server_error", type="server_error", retry_after=retry_after)
    if 400 <= status < 500 or (status == 500 and _REQUEST_FAULT.search(evidence)):
        named = {404: "not_found", 500: ""}.get(status, code)
        return GatewayError(message, 400, named or "invalid_request_error")
    return GatewayError(message, 502, "server_error", type="server_error", retry_after=retry_after)


def _overflows(evidence: str) -> bool:
    return _CONTEXT_OVERFLOW.search(evidence) is not None and _OUTPUT_LIMIT.search(evidence) is None


def _plain(body: bytes) -> str:
    """Return the text of a body that is not JSON, without HTML tags."""
    text = body[: 16 * _MESSAGE_LIMIT].decode("utf-8", "replace")
    if "<html" in text.lower() or text.lstrip().startswith("<"):
        text = _text_of_html(text)
    return " ".join(text.split())[:_MESSAGE_LIMIT]


def _text_of_html(html: str) -> str:
    """What stands between the tags, outside of elements that show no text."""
    pieces, at, hidden = list[str](), 0, ""
    for tag in _TAG.finditer(html):
        if not hidden:
            pieces.append(html[at : tag.start()])
        at, closing, name = tag.end(), tag[1], (tag[2] or "").lower()
        if closing and name == hidden:
            hidden = ""
        elif not closing and not hidden:
            hidden = name
    return " ".join([*pieces, "" if hidden else html[at:]])


def told_wait(headers: Mapping[str, str], message: str) -> float | None:
    """Seconds that the upstream asks to wait, by its headers or its words; None when it does not say."""
    seconds = _retry_after(headers)
    return _told_seconds(message) if seconds is None else seconds


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0), ("x-ratelimit-reset-after", 1.0)):
        try:
            seconds = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < _LONGEST_WAIT:
            return seconds
    return _until_date(headers)


def _until_date(headers: Mapping[str, str]) -> float | None:
    """Retry-After as a date: the upstream's own clock tells how far away it is."""
    try:
        then, now = (parsedate_to_datetime(headers[name]) for name in ("retry-after", "date"))
        seconds = (then - now).total_seconds()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return seconds if 0 <= seconds < _LONGEST_WAIT else None


def _told_seconds(message: str) -> float | None:
    match = _TRY_AGAIN.search(message)
    if match is None:
        return None
    hours, minutes, amount, unit = match.groups()
    unit = unit.lower()
    seconds = float(amount) * (0.001 if unit.startswith(("ms", "milli")) else 60.0 if unit.startswith("min") else 1.0)
    # As float: a number of any length becomes at most infinity, where int raises.
    seconds += 60.0 * float(minutes or 0) + 3600.0 * float(hours or 0)
    return seconds if seconds < _LONGEST_WAIT else None
