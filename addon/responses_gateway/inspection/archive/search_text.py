"""The text of a turn: for the full-text search, for titles, and for excerpts."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

ITEM_LIMIT = 1 << 20
"""Characters of one item that are searched."""

LONGEST_WORD = 64
"""Characters of a word that are searched."""

TITLE_LIMIT = 200
_EXCERPT = 80
_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/=]+")
_IDEOGRAPH = re.compile(r"([\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")
_LONG_WORD = re.compile(rf"\b(\w{{{LONGEST_WORD}}})\w+")
_TERM = re.compile(r'"([^"]*)"?|(\S+)')
_NOT_WRITTEN_BY_PEOPLE = re.compile(
    r"\s*(<[a-z_ -]+>|# AGENTS\.md instructions|You are performing a CONTEXT CHECKPOINT COMPACTION"
    r"|Another language model started to solve this problem)"
)
"""How Codex begins what it says in the user's name: its surroundings, and both ends of a compaction."""

_FIELDS = (
    *("content", "summary", "output", "arguments", "input", "name", "query", "action", "error", "refusal"),
    *("queries", "results", "code", "outputs", "revised_prompt", "actions"),
)
"""The fields of items that hold text."""


def texts_of(items: Iterable[Any]) -> str:
    """All that items say, a line between any two pieces."""
    return "\n".join(text for item in items for text in _texts_of(item))


def _texts_of(item: Any) -> Iterator[str]:
    if isinstance(item, dict):
        # Reasoning may be shown both ways: as its summary, and as it is.
        text = "\n".join(dict.fromkeys(text for name in _FIELDS for text in _strings(item.get(name)) if text))
        if text:
            yield _DATA_URL.sub("", text)[:ITEM_LIMIT]


def _strings(value: Any) -> Iterator[str]:
    """The strings in a value, without names of kinds and addresses of pictures."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for child in value:
            yield from _strings(child)
    elif isinstance(value, dict):
        for name, child in value.items():
            if name not in ("type", "image_url", "file_data", "encrypted_content", "id"):
                yield from _strings(child)


def title_of(items: Iterable[Any]) -> str:
    """The first words of the last thing that a person wrote among `items`."""
    title = ""
    for item in items:
        if isinstance(item, dict) and item.get("role") == "user":
            for text in _parts(item.get("content")):
                if text.strip() and not _NOT_WRITTEN_BY_PEOPLE.match(text):
                    title = " ".join(text[: 4 * TITLE_LIMIT].split())[:TITLE_LIMIT]
    return title


def _parts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            yield part["text"]


def indexed(text: str) -> str:
    """Text as it is indexed.

    Scripts that have no spaces are cut into characters, so that any part is found; of words that nobody types (base64,
    hashes), only the beginning counts.
    """
    spaced = text if text.isascii() else _IDEOGRAPH.sub(r" \1 ", text)
    longest = max(map(len, spaced.split()), default=0)
    return _LONG_WORD.sub(r"\1", spaced) if longest > LONGEST_WORD else spaced


def match_of(query: str) -> str:
    """What a person typed as an FTS5 expression: all words, each as the beginning of a word; "…" is a phrase."""
    words = []
    for phrase, word in _TERM.findall(query):
        term = indexed(phrase or word).replace('"', " ").replace("\0", " ").strip()
        if any(character.isalnum() for character in term):
            words.append(f'"{term}"' if phrase else f'"{term}"*')
    return " ".join(words)


def excerpt(text: str, query: str) -> tuple[str, str, str]:
    """The place where `query` is found in `text`: what is before it, the words themselves, what is behind."""
    terms = [phrase or word for phrase, word in _TERM.findall(query)]
    lowered = text.lower()
    found = [(at, at + len(term)) for term in terms if term and (at := lowered.find(term.lower())) >= 0]
    start, end = min(found, default=(0, 0))
    before, behind = text[max(0, start - _EXCERPT) : start], text[end : end + _EXCERPT]
    return before, text[start:end], behind
