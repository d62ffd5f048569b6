"""Finds where a text cites the sources that hosted tools have found."""

import re
from collections.abc import Mapping, Sequence

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.tools.hosted import Source

_MARK = re.compile(
    r"""
      \[ [^\[\]\n]* \] \( \s* < ? (?P<link> https?:// (?: [^()\s<>] | \( [^()\s<>]* \) )++ ) [^()\n]*+ \)
    | (?<! \w) (?: \[ (?P<number> \d{1,3} ) \] (?! \( ) | 【 (?P<lens> \d{1,3} ) [^】\n]{0,40} 】 )
    | (?P<bare> https?:// [^\s<>()\[\]"']+ )
    """,
    re.VERBOSE,
)


def citations(text: str, sources: Sequence[Source]) -> list[JsonObject]:
    """Return the `url_citation` annotations of `text`.

    A citation is a Markdown link to a source, its bare URL, or its number in brackets.

    Indexes count characters (code points), `end_index` exclusive, as OpenAI's do. `sources` are numbered from 1.
    """
    by_url = {_key(source.url): source for source in sources}
    found = []
    for match in _MARK.finditer(text):
        source, end = _cited(match, by_url, sources), match.end()
        if source is None:
            continue
        if match["bare"]:
            end -= len(match["bare"]) - len(match["bare"].rstrip(".,;:!?*_"))
        found.append(
            {
                "type": "url_citation",
                "start_index": match.start(),
                "end_index": end,
                "title": source.title,
                "url": source.url,
            }
        )
    return found


def _cited(match: re.Match[str], by_url: Mapping[str, Source], sources: Sequence[Source]) -> Source | None:
    if number := match["number"] or match["lens"]:
        position = int(number) - 1
        return sources[position] if 0 <= position < len(sources) else None
    return by_url.get(_key(match["link"] or match["bare"].rstrip(".,;:!?*_")))


def _key(url: str) -> str:
    """Remove from a URL what models add or lose when they copy it."""
    return url.partition("#")[0].removesuffix("?utm_source=openai").rstrip("/")
