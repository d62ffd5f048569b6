"""Errors of the console command."""

import difflib
from collections.abc import Iterable


class CommandError(Exception):
    """Something the user can put right; the message says how."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """`"; did you mean …?"` for the valid name nearest to `name`, or nothing when none is near."""
    matches = difflib.get_close_matches(name, list(valid), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""
