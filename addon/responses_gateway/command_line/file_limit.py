"""How many files, and so connections, this process may have open."""

from contextlib import suppress

try:
    import resource
except ImportError:  # Windows has no such limit
    _HAS_LIMIT = False
else:
    _HAS_LIMIT = True

WANTED = 8192
"""Every turn needs two connections; some systems begin with 256."""


def raise_file_limit() -> None:
    """Raise the limit to what is wanted, as far as this user may."""
    if not _HAS_LIMIT:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
