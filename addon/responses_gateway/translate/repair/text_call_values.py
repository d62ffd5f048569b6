"""The names and arguments inside the markup of calls that a model wrote as text."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from responses_gateway.protocol.json import dumps_text, loads
from responses_gateway.translate.repair.text_call_patterns import Match

_NOT_A_STRING = re.compile(r"\bstring=[\"']?false")


@dataclass(frozen=True, slots=True)
class TextCall:
    """A tool call found in text.

    `name` is the wire name of the offered tool, `arguments` are JSON text, `form` is the label of the form it had.
    """

    name: str
    arguments: str
    form: str


@dataclass(frozen=True, slots=True)
class TextReasoning:
    """Reasoning found in text (the analysis channel of harmony), or a part of it."""

    text: str


def parameter_value(text: str, begin: Match, *, trims: bool) -> Any:
    """Return the value of a parameter: text, unless its attributes say that it is JSON.

    The schema is not known here; a value of the wrong type is coerced later.
    """
    if _NOT_A_STRING.search(begin.groups.get("attributes") or ""):
        try:
            return loads(text)
        except (ValueError, RecursionError):
            return text
    if trims and len(text) > 1 and text[0] == text[-1] == "\n":
        return text[1:-1]
    return text


def is_json_object(text: str) -> bool:
    try:
        return isinstance(loads(text), dict)
    except (ValueError, RecursionError):
        return False


def calls_in_json(raw: str, label: str, known: Callable[[str], str | None]) -> list[TextCall] | None:
    """Return the calls of `{"name": …, "arguments": …}`, or of a list of such objects.

    None when one of them does not name an offered tool. `known` maps a written name to that of the offered tool.
    """
    try:
        value = loads(raw)
    except (ValueError, RecursionError):
        return None
    calls: list[TextCall] = []
    for entry in value if isinstance(value, list) else [value]:
        call = entry.get("function", entry) if isinstance(entry, dict) else None
        if not isinstance(call, dict) or not isinstance(named := call.get("name"), str):
            return None
        name = known(named)
        arguments = call.get("arguments", call.get("parameters"))
        if name is None or not isinstance(arguments, dict | str | None):
            return None
        text = dumps_text(arguments or {}) if not isinstance(arguments, str) else arguments or "{}"
        if not is_json_object(text):
            return None
        calls.append(TextCall(name, text, label))
    return calls
