"""Hostile text on a terminal: shown, and never obeyed."""

import json
import re
from typing import Any

_ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""All but tab and newline of the control characters, and what changes the order or width of text without being seen."""

_ACTIVE_IN_LINE = re.compile(f"[\t\n]|{_ACTIVE.pattern}")


def printable(text: str) -> str:
    """Text of several lines in which control characters are written out, such as `\\x1b`."""
    return _ACTIVE.sub(_written, text)


def printable_line(text: str) -> str:
    """The same on one line."""
    return _ACTIVE_IN_LINE.sub(_written, text)


def printable_json(value: Any) -> str:
    """JSON for people and programs: everything that a terminal could obey is an escape of JSON."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
