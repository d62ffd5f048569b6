"""Changes single fields in the text of a JSON object, and leaves every other byte of it as it is."""

from codecs import getincrementaldecoder
from collections.abc import Mapping
from typing import Any

from responses_gateway.protocol.json import dumps_text, loads
from responses_gateway.protocol.json_scanner import ObjectScanner, Part

_PIECE = 64 << 10
"""Characters that are looked at at once."""

_LONGEST_KEY = 256


def field_of(body: bytes, name: str) -> Any:
    """The value of a top-level field of a JSON object, read no further than needed; None when it is not found."""
    decoder, scanner = getincrementaldecoder("utf-8")("replace"), ObjectScanner()
    key = value = ""
    for at in range(0, len(body), _PIECE):
        for part, piece, ends in scanner.feed(decoder.decode(body[at : at + _PIECE])):
            if part is Part.KEY:
                key += piece
            elif part is Part.VALUE and len(key) < _LONGEST_KEY and _parsed(key) == name:
                value += piece
                if ends:
                    return _parsed(value)
            if part is Part.VALUE and ends:
                key = ""
            elif part is Part.BROKEN:
                return None
    return None


def _parsed(text: str) -> Any:
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return None


def with_fields(body: bytes, fields: Mapping[str, Any]) -> bytes:
    """`body`, which is one valid JSON object, with the values of these top-level fields; missing ones are put first.

    A field that is there twice is changed twice, because parsers do not agree which of them counts.
    """
    text = body.decode("utf-8", "surrogatepass")
    pieces: list[str] = []
    found: set[str] = set()
    key, begun = "", False
    for part, piece, ends in ObjectScanner().feed(text):
        if part is Part.KEY:
            key += piece
            begun = False
        elif part is Part.VALUE and (name := _parsed(key)) in fields:
            found.add(name)
            if not begun:
                pieces.append(dumps_text(fields[name]))
            begun = True
            key = "" if ends else key
            continue
        elif part is Part.VALUE and ends:
            key = ""
        pieces.append(piece)
    missing = {name: value for name, value in fields.items() if name not in found}
    return _begun_with(missing, "".join(pieces)).encode("utf-8", "surrogatepass")


def _begun_with(fields: Mapping[str, Any], text: str) -> str:
    if not fields:
        return text
    before, brace, rest = text.partition("{")
    comma = "" if rest.lstrip().startswith("}") else ","
    return before + brace + dumps_text(fields)[1:-1] + comma + rest
