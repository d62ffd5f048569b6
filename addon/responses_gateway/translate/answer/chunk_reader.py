"""Reads one chunk of a chat stream tolerantly: servers agree on little more than `choices[].delta`.

These deviations were seen in real answers: null for any field, content as a list of parts, reasoning under seven
names, a whole `message` instead of a `delta`, the chunk wrapped in `data`, the legacy `function_call`.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from responses_gateway.protocol.json import JsonObject

type DeltaKind = Literal["text", "reasoning", "refusal", "annotations", "details", "call", "image", "audio", "finish"]

_REASONING_FIELDS = (
    "reasoning_content",
    "reasoning",
    "reasoning_text",
    "thinking",
    "thinking_content",
    "thought",
    "reasoning_delta",
)
_REASONING = frozenset((*_REASONING_FIELDS, "reasoning_details"))
_OTHERS = frozenset(("refusal", "annotations", "images", "audio", "tool_calls", "function_call"))
_LARGEST = 1e300
"""The largest log probability that is passed on: a float can certainly hold it."""


class DeltaPart(NamedTuple):
    """One part of a chunk. `text` is its text, the finish reason, or the URL of an image; `objects` holds everything
    else, as it came."""

    kind: DeltaKind
    text: str = ""
    objects: Sequence[JsonObject] = ()
    choice: int = 0

    @property
    def has_content(self) -> bool:
        """Whether it is content of the answer: neither its end nor empty."""
        if self.kind == "call":
            function = self.objects[0].get("function")
            return isinstance(function, dict) and bool(function.get("name") or function.get("arguments"))
        if self.kind == "details":
            return any(entry.get("data") for entry in self.objects)
        return self.kind != "finish"


def read_chunk(chunk: JsonObject) -> tuple[list[DeltaPart], JsonObject | None]:
    """Return the parts of `chunk`, in the order in which they are shown, and its usage object if it has one."""
    if "choices" not in chunk and isinstance(chunk.get("data"), dict):
        chunk = chunk["data"]
    parts: list[DeltaPart] = []
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            _read_choice(choice, parts)
    usage = chunk.get("usage")
    if not isinstance(usage, dict):
        groq = chunk.get("x_groq")
        usage = groq.get("usage") if isinstance(groq, dict) else None
    return parts, usage if isinstance(usage, dict) else None


def _read_choice(choice: JsonObject, parts: list[DeltaPart]) -> None:
    number = choice.get("index")
    index = number if isinstance(number, int) and number > 0 else 0
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        delta = choice.get("message")
    if isinstance(delta, dict):
        _read_delta(delta, _logprobs(choice["logprobs"]) if choice.get("logprobs") else (), index, parts)
    elif isinstance(choice.get("text"), str) and choice["text"]:
        parts.append(DeltaPart("text", choice["text"], choice=index))
    reason = choice.get("finish_reason")
    if isinstance(reason, str) and reason:
        parts.append(DeltaPart("finish", reason.lower(), choice=index))


def _read_delta(delta: JsonObject, logprobs: Sequence[JsonObject], index: int, parts: list[DeltaPart]) -> None:
    # Most deltas have text and nothing else: two set operations tell.
    if not _REASONING.isdisjoint(delta):
        _read_reasoning(delta, index, parts)
    content = delta.get("content")
    if isinstance(content, str):
        if content:
            parts.append(DeltaPart("text", content, logprobs, index))
    elif isinstance(content, list):
        for part in content:
            _read_part(part, index, parts)
    if not _OTHERS.isdisjoint(delta):
        _read_others(delta, index, parts)


def _read_others(delta: JsonObject, index: int, parts: list[DeltaPart]) -> None:
    refusal = delta.get("refusal")
    if isinstance(refusal, str) and refusal:
        parts.append(DeltaPart("refusal", refusal, choice=index))
    annotations = delta.get("annotations")
    if isinstance(annotations, list) and annotations:
        parts.append(DeltaPart("annotations", objects=[_annotation(entry) for entry in annotations], choice=index))
    images = delta.get("images")
    for image in images if isinstance(images, list) else ():
        _read_image(image, index, parts)
    audio = delta.get("audio")
    if isinstance(audio, dict):
        _read_audio(audio, index, parts)
    calls = delta.get("tool_calls")
    if isinstance(calls, dict):
        calls = [calls]
    entries = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    legacy = delta.get("function_call")
    # llama-cpp-python says a forced call in both forms, in every delta.
    if isinstance(legacy, dict) and not entries:
        entries = [{"index": 0, "function": legacy}]
    parts += (DeltaPart("call", objects=[entry], choice=index) for entry in entries)


def _read_reasoning(delta: JsonObject, index: int, parts: list[DeltaPart]) -> None:
    details = delta.get("reasoning_details")
    entries = [entry for entry in details if isinstance(entry, dict)] if isinstance(details, list) else []
    for name in _REASONING_FIELDS:
        value = delta.get(name)
        if text := _text(value):
            parts.append(DeltaPart("reasoning", text, choice=index))
            break
    else:
        if text := "".join(_text(entry) for entry in entries):
            parts.append(DeltaPart("reasoning", text, choice=index))
    if entries:
        parts.append(DeltaPart("details", objects=entries, choice=index))


def _text(value: object) -> str:
    """Return the text of a reasoning field, which is a string, an object around one, or a list of those."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_text(entry) for entry in value)
    if isinstance(value, dict):
        return next((text for key in ("text", "content", "thinking", "summary") if (text := _text(value.get(key)))), "")
    return ""


def _read_part(part: object, index: int, parts: list[DeltaPart]) -> None:
    if isinstance(part, str):
        parts.append(DeltaPart("text", part, choice=index))
    elif isinstance(part, dict):
        kind = str(part.get("type"))
        if kind in ("thinking", "reasoning"):
            text = _text(part.get("thinking")) or _text(part)
            parts.append(DeltaPart("reasoning", text, choice=index))
        elif kind == "image_url":
            _read_image(part, index, parts)
        elif text := _text(part):
            parts.append(DeltaPart("text", text, choice=index))


def _read_image(part: object, index: int, parts: list[DeltaPart]) -> None:
    """Read an image in the form of a chat part: `{image_url: {url}}`."""
    holder = part.get("image_url") if isinstance(part, dict) else None
    url = holder.get("url") if isinstance(holder, dict) else holder
    if isinstance(url, str) and url:
        parts.append(DeltaPart("image", url, choice=index))


def _read_audio(audio: JsonObject, index: int, parts: list[DeltaPart]) -> None:
    """Read what is spoken as text; the sound itself has no place in an answer."""
    transcript = audio.get("transcript")
    if isinstance(transcript, str) and transcript:
        parts.append(DeltaPart("text", transcript, choice=index))
    if audio.get("data"):
        parts.append(DeltaPart("audio", choice=index))


def _logprobs(holder: object) -> list[JsonObject]:
    entries = holder.get("content") if isinstance(holder, dict) else None
    if not isinstance(entries, list):
        return []
    return [_logprob(entry) for entry in entries if isinstance(entry, dict)]


def _logprob(entry: JsonObject) -> JsonObject:
    top = entry.get("top_logprobs")
    return {
        **_token(entry),
        "top_logprobs": [_token(other) for other in (top if isinstance(top, list) else ()) if isinstance(other, dict)],
    }


def _token(entry: JsonObject) -> JsonObject:
    logprob, data = entry.get("logprob"), entry.get("bytes")
    return {
        "token": str(entry.get("token", "")),
        "logprob": float(logprob) if isinstance(logprob, int | float) and abs(logprob) < _LARGEST else 0.0,
        "bytes": [byte for byte in data if isinstance(byte, int)] if isinstance(data, list) else [],
    }


def _annotation(entry: object) -> JsonObject:
    """Make a `url_citation`, which chat nests one level deeper than Responses."""
    outer = entry if isinstance(entry, dict) else {}
    nested = outer.get("url_citation")
    inner = nested if isinstance(nested, dict) else outer
    return {
        "type": "url_citation",
        "url": str(inner.get("url", "")),
        "title": str(inner.get("title", "")),
        "start_index": _offset(inner.get("start_index")),
        "end_index": _offset(inner.get("end_index")),
    }


def _offset(value: object) -> int:
    return value if isinstance(value, int) else 0


def merge_details(details: list[JsonObject], entries: Sequence[JsonObject], *, snapshots: bool) -> None:
    """Add streamed `reasoning_details`: parts of one entry share its type and index, and their text is joined.

    With `snapshots`, a text may repeat all that came before.
    """
    for entry in entries:
        last = details[-1] if details else None
        if last is not None and (last.get("type"), last.get("index")) == (entry.get("type"), entry.get("index")):
            for key, value in entry.items():
                if key in ("text", "summary", "data") and isinstance(value, str) and isinstance(last.get(key), str):
                    last[key] = value if snapshots and value.startswith(last[key]) else last[key] + value
                elif value is not None:
                    last[key] = value
        else:
            details.append(dict(entry))
