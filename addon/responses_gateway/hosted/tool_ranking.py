"""Finds tools by words: BM25 over their names, descriptions and parameters, of which the names count most.

A word finds all words that begin with it, so that `mail` finds `mails` and `mailbox`. Text is only counted in, never
parsed, so that thousands of tools cost milliseconds.
"""

import math
import re
from collections.abc import Iterator, Sequence

from responses_gateway.protocol.json import JsonObject

_K1, _B = 1.2, 0.75
"""The usual constants of BM25."""

_NAME_WEIGHT, _NAMESPACE_WEIGHT = 4, 2
"""How many times a word of the description a word of a name counts."""

_WORDS = 32
"""Words of a query that count."""

_WHOLE = 2
"""Words up to this length have to be found whole."""

_CLOSE = 0.25
"""What is worth less than this part of the best is no find."""

_DEPTH, _PARAMETERS, _TEXT, _SHORT_TEXT = 3, 64, 2_000, 200
"""How much of a declaration is searched: levels and number of parameters, characters of descriptions."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SPACES = {code: " " for code in range(128) if not chr(code).isalnum()}


class ToolIndex:
    """Searchable tools, given by their namespaces, the descriptions of these, and their declarations."""

    def __init__(self, tools: Sequence[tuple[str, str, JsonObject]]) -> None:
        self._names = [_words(_apart(str(tool.get("name")))) for _, _, tool in tools]
        self._namespaces = [_words(_apart(namespace)) for namespace, _, _ in tools]
        self._bodies = [_words(" ".join([about[:_SHORT_TEXT], *_described(tool)])) for _, about, tool in tools]
        self._mean = sum(map(len, self._bodies)) / max(1, len(self._bodies)) or 1

    def best(self, query: str, limit: int) -> list[int]:
        """The positions of what matches best, best first."""
        scores = [0.0] * len(self._bodies)
        for word in list(dict.fromkeys(_words(_apart(query)).split()))[:_WORDS]:
            self._add_scores(_pattern(word), scores)
        floor = max(scores, default=0.0) * _CLOSE
        found = [position for position, score in enumerate(scores) if score > 0 and score >= floor]
        return sorted(found, key=lambda position: -scores[position])[:limit]

    def _add_scores(self, word: str, scores: list[float]) -> None:
        counts = [
            _NAME_WEIGHT * name.count(word) + _NAMESPACE_WEIGHT * namespace.count(word) + body.count(word)
            for name, namespace, body in zip(self._names, self._namespaces, self._bodies, strict=True)
        ]
        having = sum(1 for count in counts if count)
        rarity = math.log(1 + (len(counts) - having + 0.5) / (having + 0.5))
        for position, count in enumerate(counts):
            if count:
                length = 1 - _B + _B * len(self._bodies[position]) / self._mean
                scores[position] += rarity * count * (_K1 + 1) / (count + _K1 * length)


def _words(text: str) -> str:
    """`text` in lower case, with a space before and behind each word."""
    return f" {text.translate(_SPACES).lower()} "


def _apart(name: str) -> str:
    """The words of `name`, which may be written together, as in `searchInbox`."""
    return _HUMP.sub(" ", name)


def _pattern(word: str) -> str:
    """What text has that contains `word`: without the s of a plural, and anywhere in languages without spaces."""
    if not word.isascii():
        return word
    if len(word) <= _WHOLE:
        return f" {word} "
    return f" {word[:-1] if word.endswith('s') and not word.endswith('ss') else word}"


def _described(tool: JsonObject) -> Iterator[str]:
    """What a declaration says of itself, its parameters included."""
    yield _text(tool.get("description"), _TEXT)
    waiting = [(tool.get("parameters"), _DEPTH)]
    left = _PARAMETERS
    while waiting and left > 0:
        schema, depth = waiting.pop()
        properties = schema.get("properties") if isinstance(schema, dict) else None
        for name, inner in properties.items() if isinstance(properties, dict) else ():
            if (left := left - 1) < 0:
                return
            yield _apart(name[:_SHORT_TEXT])
            if isinstance(inner, dict):
                yield _text(inner.get("description"), _SHORT_TEXT)
                if depth > 1:
                    waiting.append((inner, depth - 1))


def _text(value: object, limit: int) -> str:
    return value[:limit] if isinstance(value, str) else ""
