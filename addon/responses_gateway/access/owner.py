"""Names the owners of stored responses."""

import hashlib
from collections.abc import Mapping


def owner_of(headers: Mapping[str, str]) -> str:
    """A name for the key that a request brings (headers by lower-case name); "" for requests without one.

    For gateways without access keys: they do not know their clients, but can tell them apart.
    """
    key = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key") or headers.get("api-key")
    return named_by(key) if key else ""


def named_by(key: str) -> str:
    """The name of whoever has this key. The key itself is never stored."""
    return hashlib.sha256(b"responses-gateway owner\0" + key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
