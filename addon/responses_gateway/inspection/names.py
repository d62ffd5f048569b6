"""Short names of sessions and threads, by which people tell them apart."""

from hashlib import blake2b


def short_name(name: str) -> str:
    """Such as `#3f9a`: the same for the same id; ids that clients make at one time begin alike, these do not."""
    return f"#{blake2b(name.encode('utf-8', 'replace'), digest_size=2).hexdigest()}"
