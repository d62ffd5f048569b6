"""Translates token usage, which upstreams put into different fields."""

from responses_gateway.protocol.json import JsonObject


def translate_usage(usage: JsonObject) -> JsonObject:
    """Make the Responses usage object. Counts that the upstream does not send are 0."""
    details = _object(usage.get("prompt_tokens_details"))
    completion = _object(usage.get("completion_tokens_details"))
    prompt_tokens = _count(usage.get("prompt_tokens"), usage.get("input_tokens"))
    output_tokens = _count(usage.get("completion_tokens"), usage.get("output_tokens"))
    reasoning_tokens = _count(completion.get("reasoning_tokens"), usage.get("reasoning_tokens"))
    total = _count(usage.get("total_tokens"))
    if reasoning_tokens and total == prompt_tokens + output_tokens + reasoning_tokens:
        # xAI counts reasoning in the total only, OpenAI as a part of the output.
        output_tokens += reasoning_tokens
    return {
        "input_tokens": prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": _count(
                details.get("cached_tokens"), usage.get("prompt_cache_hit_tokens"), usage.get("cached_tokens")
            ),
            "cache_write_tokens": _count(
                details.get("cache_write_tokens"),
                details.get("cache_creation_tokens"),
                usage.get("cache_creation_input_tokens"),
            ),
        },
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": total or prompt_tokens + output_tokens,
    }


def merge_usage(one: JsonObject | None, other: JsonObject | None) -> JsonObject | None:
    """Add up the usage of two upstream rounds of one response."""
    if one is None or other is None:
        return one or other
    return {
        key: merge_usage(value, other[key]) if isinstance(value, dict) else value + other[key]
        for key, value in one.items()
    }


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _count(*values: object) -> int:
    for value in values:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1 << 53:
            return int(value)
    return 0
