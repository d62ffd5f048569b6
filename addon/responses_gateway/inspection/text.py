"""Formatting that all views share: sizes, times, long texts made short, and JSON for people."""

import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any

LONG_STRING = 20_000
"""Characters of one string that JSON views show."""

VIEW_LIMIT = 1_000_000
"""Characters of one view; mitmweb gets slow with more."""

WIDTH = 80
"""Columns that mitmweb shows beside its list in an ordinary window."""

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(;[\w=.+-]+)*;base64,")


def size(count: int) -> str:
    """Bytes for people."""
    if count < 1000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1000:.3g} kB"
    return f"{count / 1_000_000:.3g} MB"


def tokens(count: int) -> str:
    if count < 10_000:
        return str(count)
    return f"{count / 1000:.0f}k" if count < 1_000_000 else f"{count / 1_000_000:.1f}M"


def counted(count: int, noun: str) -> str:
    """Such as `1 call`, `2 calls`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def seconds(milliseconds: int) -> str:
    """A duration; `–` for one that is not known."""
    if milliseconds < 0:
        return "–"
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def offset(milliseconds: int) -> str:
    return f"+{milliseconds / 1000:.3f}s"


def percent(share: float) -> str:
    """Rounded down, so that only a whole is 100 %."""
    return f"{int(share * 100)}%"


def shortened(text: str, limit: int) -> str:
    """`text` without its middle when it is longer than `limit` characters."""
    if data_url := _DATA_URL.match(text[:200]):
        return f"{data_url[0]}… ({size((len(text) - data_url.end()) * 3 // 4)})"
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    tail = limit - head
    return f"{text[:head]} … {len(text) - limit:,} characters left out … {text[-tail:]}"


def wrapped(line: str, indent: int = 10) -> str:
    """A line that fits into mitmweb's pane; what follows of it is indented by that many spaces."""
    parts = textwrap.wrap(line, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(parts) if len(line) > WIDTH else line


def prose(text: str, width: int = WIDTH - 4) -> str:
    """Text with its long lines broken between words; quick, because a conversation may have megabytes of it."""
    lines = text.split("\n")
    if max(map(len, lines)) <= width:
        return text
    return "\n".join(part for line in lines for part in _broken(line, width))


def _broken(line: str, width: int) -> Iterator[str]:
    start = 0
    while len(line) - start > width:
        at = line.rfind(" ", start, start + width + 1)
        if at <= start:
            at = line.find(" ", start + width)
        if at < 0:
            break
        yield line[start:at]
        start = at + 1
    yield line[start:]


def limited(lines: list[str], limit: int = VIEW_LIMIT) -> str:
    """The lines as one text; when that is too long, without lines from its middle."""
    whole = "\n".join(lines)
    if len(whole) <= limit:
        return whole
    head = whole.rfind("\n", 0, limit * 2 // 3)
    tail = whole.find("\n", len(whole) - limit // 3)
    head = limit * 2 // 3 if head < 0 else head
    tail = len(whole) - limit // 3 if tail < 0 else tail
    left_out = whole.count("\n", head, tail)
    return f"{whole[:head]}\n\n… {left_out:,} lines ({tail - head:,} characters) left out …\n{whole[tail:]}"


def compact(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def pretty(value: Any, string_limit: int = LONG_STRING) -> str:
    """JSON with indentation; long strings and data URLs are shortened and say so."""
    return json.dumps(_presentable(value, string_limit), ensure_ascii=False, indent=2)


def _presentable(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return shortened(value, limit)
    if isinstance(value, list):
        return [_presentable(child, limit) for child in value]
    if isinstance(value, dict):
        return {key: _presentable(child, limit) for key, child in value.items()}
    return value


def indented(text: str, by: str = "    ") -> list[str]:
    return [by + line if line else "" for line in text.splitlines()]
