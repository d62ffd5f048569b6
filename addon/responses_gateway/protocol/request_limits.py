"""Limits of a request's size, checked before it is parsed: a small text can cause a lot of work.

The numbers are far above what clients send: a context of a million tokens is some ten thousand items.
"""

import re

from responses_gateway.protocol.errors import GatewayError

MAX_VALUES = 200_000
"""Objects, lists, strings, numbers … of a request's JSON, at any depth."""

MAX_ITEMS = 20_000
"""Items of `input`."""

MAX_TOOLS = 4_000
MAX_UNKNOWN_FIELDS = 1_000
"""Fields of the request itself that the API does not have."""

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_STRUCTURE = b",{["


def check_size(body: bytes) -> None:
    """Raise GatewayError for JSON of more than MAX_VALUES values. For other text, the result is not defined."""
    if _structure_in(body) <= MAX_VALUES:
        return
    # More strings than these are too many values, too: at most every other one is the name of a field.
    if _structure_in(_STRING.sub(b"", body, count=2 * MAX_VALUES)) > MAX_VALUES:
        raise GatewayError(
            f"The request is too large: it consists of more than {MAX_VALUES} values.", code="request_too_large"
        )


def _structure_in(text: bytes) -> int:
    """Each value but the outermost stands behind one of these."""
    return sum(text.count(mark) for mark in _STRUCTURE)
