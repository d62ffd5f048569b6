"""Model metadata as Codex CLI reads it: with a complete entry Codex offers apply_patch, effort levels, image input and
the right context window, and does not warn that the model is unknown.

The shape is what Codex 0.111 to 0.169 accept; one invalid entry makes them reject the whole list.
"""

from collections.abc import Container
from functools import cache
from importlib.resources import files

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.protocol.json import JsonObject

UNKNOWN_CONTEXT_WINDOW = 131_072
"""Tokens that Codex is told for a model of unknown size: what current models have at least."""

_UNKNOWN_EFFORTS = ("low", "medium", "high")
_EFFORTS = {
    "none": "No reasoning",
    "minimal": "Hardly any reasoning",
    "low": "Short reasoning, fast answers",
    "medium": "Balanced speed and depth",
    "high": "Thorough reasoning for hard tasks",
    "xhigh": "Very thorough reasoning",
    "max": "As much reasoning as the model can do",
}

_WITH_MAX = [0, 138]
"""The first version that takes the level `max`; 0.137 refuses a catalogue that has it."""


@cache
def base_instructions() -> str:
    """The system prompt that Codex sends for models from the gateway's catalogue."""
    return files(__package__).joinpath("instructions.md").read_text(encoding="utf-8")


def known_efforts(client_version: str | None) -> frozenset[str]:
    """The effort levels that a version of Codex can parse; without a version, those of the newest."""
    numbers = [int(part) for part in (client_version or "").split("-")[0].split(".") if part.isdigit()]
    return frozenset(_EFFORTS) - {"max"} if numbers and numbers < _WITH_MAX else frozenset(_EFFORTS)


def entry(
    slug: str,
    card: ModelCard,
    *,
    priority: int,
    listed: bool = True,
    verbosity: bool = False,
    known: Container[str] = frozenset(_EFFORTS),
) -> JsonObject:
    """One ModelInfo. `priority` orders Codex's model picker, lowest first; it shows `listed` models only. `known` are
    the effort levels that may be named."""
    efforts = [level for level in card.efforts or _UNKNOWN_EFFORTS if level in known] if card.reasoning else []
    window = card.context_window or UNKNOWN_CONTEXT_WINDOW
    name = card.name or slug
    info: JsonObject = {
        "slug": slug,
        "display_name": name,
        "description": f"{name}, {window // 1000}k tokens of context.",
        "supported_reasoning_levels": [{"effort": level, "description": _EFFORTS[level]} for level in efforts],
        "shell_type": "unified_exec",
        "visibility": "list" if listed else "hide",
        "supported_in_api": True,
        "priority": priority,
        "base_instructions": base_instructions(),
        "supports_reasoning_summaries": card.reasoning,
        "supports_reasoning_summary_parameter": card.reasoning,
        "default_reasoning_summary": "auto" if card.reasoning else "none",
        "support_verbosity": verbosity,
        "apply_patch_tool_type": "freeform" if card.tools else None,
        "truncation_policy": {"mode": "tokens", "limit": 10_000},
        "supports_parallel_tool_calls": card.parallel_tool_calls,
        "supports_image_detail_original": False,
        "context_window": window,
        "max_context_window": window,
        "effective_context_window_percent": 95,
        "experimental_supported_tools": [],
        "input_modalities": [modality for modality in ("text", "image") if modality in card.modalities],
        "supports_search_tool": False,
    }
    if efforts:
        info["default_reasoning_level"] = _default_effort(efforts)
    return info


def _default_effort(efforts: list[str]) -> str:
    return next((level for level in ("medium", "high") if level in efforts), efforts[-1])
