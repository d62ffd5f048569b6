"""Checks values before they become header fields and URLs of messages that the gateway sends.

A line break would end the field, and the rest would be read as another message (request smuggling).
The rules are RFC 9110, section 5.5 (field values), section 5.6.2 (tokens), and RFC 3986 (URLs).
"""

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import quote

from responses_gateway.protocol.errors import GatewayError

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN_IN_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_AFFINITY = re.compile(r"[\x21-\x7e]{1,256}")
_KEPT_IN_URL = "".join(map(chr, range(0x21, 0x7F)))


class UnsafeField(GatewayError):
    """A value that cannot be sent in a header or as a URL."""


def encoded(fields: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Header fields as they are sent. Raises UnsafeField, with the field's name as `param`."""
    return [_encoded(name, value) for name, value in fields]


def is_safe(name: str, value: str) -> bool:
    """Whether a header can have this name and this value."""
    try:
        _encoded(name, value)
    except UnsafeField:
        return False
    return True


def affinity_key(session: str) -> str:
    """A session's id for a header: the id itself, or a digest of it if a header cannot hold it.

    An upstream only compares it with those of other requests.
    """
    if _AFFINITY.fullmatch(session):
        return session
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()


def safe_url(url: str) -> str:
    """The URL, with all characters percent-encoded that are not visible ASCII.

    Raises UnsafeField for control characters and blanks: no URL has them, and parsers take them out in silence.
    """
    if any(char <= " " or char == "\x7f" for char in url):
        raise UnsafeField("A URL may contain neither blanks nor control characters.", code="invalid_value")
    try:
        return quote(url, safe=_KEPT_IN_URL)
    except UnicodeEncodeError:
        raise UnsafeField("A URL contains half a character.", code="invalid_value") from None


def _encoded(name: str, value: str) -> tuple[bytes, bytes]:
    if not _NAME.fullmatch(name):
        raise UnsafeField(f"{name!r} is not the name of a header.", code="invalid_value")
    try:
        # Bytes of a client that are no UTF-8 are surrogates here (mitmproxy's way to read headers).
        data = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = b"\0"
    if _FORBIDDEN_IN_VALUE.search(data):
        raise UnsafeField(
            f"The value for the header '{name}' contains a character that no header can have.",
            code="invalid_value",
            param=name,
        )
    return name.encode(), data.strip(b" \t")
