"""Patterns that can be matched against the beginning of a text that is still arriving.

A pattern is a sequence of literals and small regular expressions (one character class or one look-ahead each). That is
why it can tell of a text that ends too early whether it may still match.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

type Pattern = tuple[str | re.Pattern[str], ...]


@dataclass(frozen=True, slots=True)
class Match:
    """A match that reaches to `end`."""

    end: int
    groups: dict[str, str | None]


class NoMatch(Enum):
    """Why a pattern did not match."""

    NEVER = auto()
    UNDECIDED = auto()
    """The text ends too early to tell."""


def match_pattern(pattern: Pattern, text: str, pos: int, *, final: bool) -> Match | NoMatch:
    """Match `pattern` in `text` at `pos`. `final` says that the text is complete."""
    groups: dict[str, str | None] = {}
    for part in pattern:
        if isinstance(part, str):
            if text.startswith(part, pos):
                pos += len(part)
            else:
                return (
                    NoMatch.UNDECIDED if not final and part.startswith(text[pos : pos + len(part)]) else NoMatch.NEVER
                )
            continue
        found = part.match(text, pos)
        if not final and (pos == len(text) or (found and found.end() == len(text))):
            return NoMatch.UNDECIDED
        if found is None:
            return NoMatch.NEVER
        groups |= found.groupdict()
        pos = found.end()
    return Match(pos, groups)
