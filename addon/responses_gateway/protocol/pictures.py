"""Pictures in base64, as items and `data:` addresses hold them."""

import re

_BEGINNINGS = {"iVBORw0KGgo": "png", "/9j/": "jpeg", "UklGR": "webp", "R0lGOD": "gif"}
"""How the base64 of each kind begins: with its first bytes, which are always the same."""

_ADDRESS = re.compile(r"data:image/([a-z0-9.+-]{1,20})(?:;[a-z0-9.=+-]{1,40}){0,4};base64,", re.IGNORECASE)


def picture_kind(data: str) -> str | None:
    """`png`, `jpeg`, `webp` or `gif`, by how the base64 `data` begins; None for anything else."""
    return next((kind for beginning, kind in _BEGINNINGS.items() if data.startswith(beginning)), None)


def picture_address(data: str, kind: str | None = None) -> str:
    """The `data:` address of a picture; `kind` is what is said of it, which matters if its data do not tell."""
    return f"data:image/{picture_kind(data) or kind or 'png'};base64,{data}"


def picture_in(address: str) -> tuple[str, str] | None:
    """Kind and base64 data of a picture's `data:` address; None for any other address."""
    head = _ADDRESS.match(address[:300])
    if head is None:
        return None
    kind, data = head[1].lower(), address[head.end() :]
    return {"jpg": "jpeg", "svg+xml": "svg"}.get(kind, kind), data
