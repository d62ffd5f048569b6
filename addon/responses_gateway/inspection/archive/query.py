"""SQL for filters and sums."""

from typing import Any

from responses_gateway.inspection.archive import search_text
from responses_gateway.inspection.archive.rows import Filter

SUMS = (
    "count(*), sum(status IN ('failed', 'cut')), sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(cost)"
)
"""The columns of a `Total` behind its names."""

SESSION_COLUMNS = (
    "session, json_group_array(DISTINCT model), min(opened), max(opened + max(ended, 0) / 1000.0), count(*),"
    " count(DISTINCT thread), sum(calls), sum(status IN ('failed', 'cut')), sum(healed > 0),"
    " sum(status = 'in_progress'), sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(cost), sum(size),"
    " sum(stored)"
)
"""The columns of a `Session`, without what its first turn says."""

_CONDITIONS = {
    "session": "session = :session",
    "model": "(model = :model OR upstream_model = :model)",
    "client": "client = :client",
    "since": "opened >= :since",
    "until": "opened < :until",
}


def condition(which: Filter) -> tuple[str, dict[str, Any]]:
    """An expression for WHERE, and its named values."""
    parts = ["1"]
    values: dict[str, Any] = {}
    for name, text in _CONDITIONS.items():
        value = getattr(which, name)
        if value not in ("", None):
            parts.append(text)
            values[name] = value
    if which.failed:
        parts.append("status IN ('failed', 'cut')")
    if which.healed:
        parts.append("healed > 0")
    if which.kinds:
        names = [f"kind{at}" for at in range(len(which.kinds))]
        parts.append(f"kind IN ({', '.join(':' + name for name in names)})")
        values.update(zip(names, which.kinds, strict=True))
    if which.query.strip():
        match = search_text.match_of(which.query)
        parts.append("row IN (SELECT rowid FROM words WHERE words MATCH :query)" if match else "0")
        values["query"] = match
    return " AND ".join(parts), values
