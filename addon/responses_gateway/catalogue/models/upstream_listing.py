"""Reads the upstream's own model list: hosts cut context windows and add limits of their own."""

from collections.abc import Mapping
from typing import Any

from responses_gateway.catalogue.models.card import Modality, ModelCard
from responses_gateway.protocol.json import JsonObject

_CONTEXT_WINDOW = (
    ("max_model_len",),
    ("top_provider", "context_length"),
    ("context_length",),
    ("context_window",),
    ("max_context_length",),
    ("meta", "n_ctx"),
)
"""Where servers write the context window: vLLM, OpenRouter, several, Groq, LM Studio, llama.cpp."""

_MAX_OUTPUT = (("top_provider", "max_completion_tokens"), ("max_completion_tokens",), ("max_output_length",))
_MODALITIES = (("architecture", "input_modalities"), ("input_modalities",))
_MODALITY: dict[str, Modality] = {"text": "text", "image": "image", "audio": "audio", "video": "video", "file": "pdf"}


def described(card: ModelCard, details: JsonObject) -> ModelCard:
    """Return `card` with the values of the upstream's entry; where the entry has none, those of the card stay."""
    said: dict[str, Any] = {}
    for name, paths in (("context_window", _CONTEXT_WINDOW), ("max_output_tokens", _MAX_OUTPUT)):
        for path in paths:
            value = _at(details, path)
            if isinstance(value, int) and value > 0:
                said[name] = value
                break
    for path in _MODALITIES:
        value = _at(details, path)
        if isinstance(value, list) and "text" in value:
            said["modalities"] = [_MODALITY[item] for item in value if item in _MODALITY]
            break
    return card.model_copy(update=said) if said else card


def _at(details: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        details = details.get(key) if isinstance(details, Mapping) else None
    return details
