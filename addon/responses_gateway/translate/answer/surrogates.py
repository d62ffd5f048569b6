"""Joins characters that a server cut in two.

Servers that count in UTF-16 may end one delta with the first half of a pair (an emoji, for one) and begin the next
with the second, each escaped as a lone surrogate. Neither half can be shown by itself.
"""

from typing import Any

from responses_gateway.protocol.json import JsonObject

type _Path = tuple[object, ...]


class SurrogateJoiner:
    """Holds a first half back until the same field of a later chunk brings the second."""

    def __init__(self) -> None:
        self._halves: dict[_Path, str] = {}

    @property
    def holds(self) -> bool:
        """Whether a half waits for the other one."""
        return bool(self._halves)

    def join(self, chunk: JsonObject) -> JsonObject:
        """Return `chunk` with whole characters only. Raises RecursionError."""
        joined: JsonObject = self._value(chunk, ())
        return joined

    def _value(self, value: Any, path: _Path) -> Any:
        match value:
            case str():
                return self._text(value, path)
            case dict():
                return {key: self._value(inner, (*path, key)) for key, inner in value.items()}
            case list():
                return [self._value(inner, (*path, _place(inner, at))) for at, inner in enumerate(value)]
        return value

    def _text(self, text: str, path: _Path) -> str:
        half = self._halves.pop(path, "")
        text = half + text
        if "\ud800" <= text[-1:] <= "\udbff":
            self._halves[path] = text[-1]
            text = text[:-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if half else text


def _place(entry: object, position: int) -> object:
    """Return what identifies a list entry over several chunks: choices and calls have an index."""
    return entry.get("index", position) if isinstance(entry, dict) else position
