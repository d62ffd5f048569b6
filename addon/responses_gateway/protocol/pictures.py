"""Pictures in base64, as items and `data:` addresses hold them."""

import base64
import re

_ADDRESS = re.compile(r"data:image/([a-z0-9.+-]{1,20})(?:;[a-z0-9.=+-]{1,40}){0,4};base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_FIRST = 16
"""Characters of base64 whose bytes tell the kind of a picture."""


def picture_kind(data: str) -> str | None:
    """`png`, `jpeg`, `webp` or `gif`, by the first bytes of the base64 `data`; None for anything else."""
    try:
        first = base64.b64decode(data[:_FIRST], validate=True)
    except ValueError:
        return None
    if first.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if first.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if first.startswith(b"RIFF") and first[8:12] == b"WEBP":
        return "webp"
    return "gif" if first.startswith((b"GIF87a", b"GIF89a")) else None


def picture_address(data: str, kind: str | None = None) -> str:
    """The `data:` address of a picture; `kind` is what is said of it, which matters if its data do not tell."""
    return f"data:image/{picture_kind(data) or kind or 'png'};base64,{data}"


def picture_in(address: str) -> tuple[str, str] | None:
    """Kind and base64 data of a picture's `data:` address, without white space; None for any other address."""
    head = _ADDRESS.match(address[:300])
    if head is None:
        return None
    kind, data = head[1].lower(), "".join(address[head.end() :].split())
    if not _BASE64.fullmatch(data):
        return None
    return {"jpg": "jpeg", "svg+xml": "svg"}.get(kind, kind), data
