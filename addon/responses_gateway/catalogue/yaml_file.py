"""YAML files, read with the line of every key, so that an error can say where."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

type KeyPath = tuple[str | int, ...]
"""Where a value is: keys and list indexes from the top of the document."""


@dataclass(frozen=True, slots=True)
class Document:
    """The plain value of one YAML document, and the 1-based line of each key and list element."""

    value: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def line(self, path: KeyPath) -> int | None:
        """The line of `path`, or of its nearest ancestor that has one."""
        for end in range(len(path), 0, -1):
            if (line := self.lines.get(path[:end])) is not None:
                return line
        return None


def read(source: Path | str) -> Document:
    """Read a file, or YAML text; raises OSError, UnicodeDecodeError and ValueError (which names the line)."""
    text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
    try:
        root = YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise ValueError(where + (error.problem or error.context or "not valid YAML")) from None
    except YAMLError as error:
        raise ValueError(str(error)) from None
    lines: dict[KeyPath, int] = {}
    return Document(_plain(root, (), lines), lines)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`: mappings are merged key by key, everything else is replaced.

    A null in the place of a mapping empties it.
    """
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping | None):
            merged[key] = merge(below, value) if value is not None else {}
        else:
            merged[key] = value
    return merged


def _plain(value: Any, path: KeyPath, lines: dict[KeyPath, int]) -> Any:
    """The value without ruamel's own classes; fills `lines`."""
    if isinstance(value, CommentedMap):
        for key, (line, *_) in (value.lc.data or {}).items():
            lines[*path, key] = line + 1
        return {key: _plain(item, (*path, key), lines) for key, item in value.items()}
    if isinstance(value, CommentedSeq):
        for index, (line, *_) in (value.lc.data or {}).items():
            lines[*path, index] = line + 1
        return [_plain(item, (*path, index), lines) for index, item in enumerate(value)]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
