"""How upstream answers end: what their finish reasons mean, and what a client that cannot be told so reads instead."""

from typing import Literal

type Verdict = Literal["completed", "max_output_tokens", "content_filter", "steered", "failed"]

FINISHES: dict[str, Verdict] = {
    "length": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "max_output_tokens": "max_output_tokens",
    "model_length": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
    "safety": "content_filter",
    "error": "failed",
    "abort": "failed",
    "network_error": "failed",
    "insufficient_system_resource": "failed",
}
"""Finish reasons that are not the ordinary end of a turn."""

INCOMPLETE = frozenset({"max_output_tokens", "content_filter", "steered"})
"""Verdicts that are the reason why a response is incomplete."""

LAST_LINES: dict[Verdict, str] = {
    "max_output_tokens": "[The answer ends here: it reached a limit of the upstream's for output tokens.]",
    "content_filter": "[The answer ends here: a content filter of the upstream's stopped it.]",
}
