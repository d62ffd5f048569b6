"""What an upstream says that a turn took. A native one's own words are passed on, so that they may be anything."""

from responses_gateway.protocol.json import JsonObject

_LARGEST = 1 << 53
"""What a JavaScript number and a column of SQLite hold."""

_DETAILS = "_details"
"""How the fields end that hold counts of parts."""


def counts(usage: JsonObject) -> JsonObject:
    """A usage object without what is no count."""
    told: JsonObject = {}
    for name, value in usage.items():
        if not name.endswith(_DETAILS):
            told.update({name: value} if _is_count(value) else {})
        elif isinstance(value, dict):
            told[name] = {part: count for part, count in value.items() if _is_count(count)}
    return told


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST
