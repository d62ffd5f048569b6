"""Names of tools: as the upstream gets them, and as models get them wrong."""

import hashlib
import re

NAME_LIMIT = 64
"""How many characters chat upstreams take in a function name."""

_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_SEPARATORS = re.compile(r"[^a-z0-9]+")


def flat_name(namespace: str | None, name: str) -> str:
    """Join the names to `namespace__name`, in the characters and the length that chat upstreams take.

    The same names always give the same result.
    """
    whole = f"{namespace}__{name}" if namespace else name
    legal = _ILLEGAL.sub("_", whole)
    if legal == whole and len(legal) <= NAME_LIMIT:
        return legal
    return hashed_name(legal, whole)


def hashed_name(legal: str, identity: str) -> str:
    """Shorten `legal`, and make it unique by a hash of `identity`."""
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{legal[: NAME_LIMIT - 9]}_{digest}"


def loose_name(name: str) -> str:
    """`name` without separators and letter case, which models change when they copy a name."""
    return _SEPARATORS.sub("", name.lower())
