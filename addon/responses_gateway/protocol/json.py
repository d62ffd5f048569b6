"""JSON as both wires use it: read leniently, rendered one way."""

import json
from typing import Any

import pydantic_core

type JsonObject = dict[str, Any]
"""One parsed JSON object. Values are what `json.loads` gives."""


def loads(data: bytes | str) -> Any:
    """Parse JSON; raises ValueError.

    pydantic_core parses about three times as fast as the standard library but refuses what some servers send (escaped
    lone surrogates, control characters in strings), so those get a second, lenient try.
    """
    try:
        return pydantic_core.from_json(data)
    except (ValueError, TypeError):
        # Text with a lone surrogate is no text for it.
        return json.loads(data, strict=False)


def dumps(value: Any) -> bytes:
    """Render JSON compactly as UTF-8, keys in their given order, so that equal values always give equal bytes."""
    try:
        return pydantic_core.to_json(value, inf_nan_mode="null")
    except pydantic_core.PydanticSerializationError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def dumps_text(value: Any) -> str:
    """`dumps`, as text."""
    return dumps(value).decode()


def object_text(text: str) -> str | None:
    """The one JSON object in `text`, in a form that every parser takes: `text` itself if it is strictly valid.

    None when it is no object. Control characters in strings, NaN and halves of surrogate pairs are rendered anew.
    """
    try:
        strict = pydantic_core.from_json(text, allow_inf_nan=False)
    except ValueError:
        pass
    else:
        return text if isinstance(strict, dict) else None
    try:
        value = loads(text)
    except (ValueError, RecursionError):
        return None
    return dumps_text(value) if isinstance(value, dict) else None
