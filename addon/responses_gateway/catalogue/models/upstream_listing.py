"""Reads what an upstream says about a model: hosts cut context windows and add limits of their own.

It stands in the upstream's model list, and in whatever else its server can be asked. Servers may say anything, so that
only values are taken that can be true.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from responses_gateway.catalogue.models.card import Modality, ModelCard
from responses_gateway.protocol.json import JsonObject

type _Path = tuple[str, ...]

_CONTEXT_WINDOW: tuple[_Path, ...] = (
    ("max_model_len",),
    ("top_provider", "context_length"),
    ("context_length",),
    ("context_window",),
    ("loaded_context_length",),
    ("max_context_length",),
    ("max_total_tokens",),
    ("meta", "n_ctx"),
    ("default_generation_settings", "n_ctx"),
    ("model_info", "max_input_tokens"),
    ("model_info", "*.context_length"),
    ("meta", "n_ctx_train"),
)
"""Where servers write the context window: vLLM and SGLang, OpenRouter, several (Ollama for loaded models), Groq, LM
Studio (two), TGI, llama.cpp (two), LiteLLM, Ollama, llama.cpp for models that are not loaded."""

_MAX_OUTPUT: tuple[_Path, ...] = (
    ("top_provider", "max_completion_tokens"),
    ("max_completion_tokens",),
    ("max_output_length",),
    ("model_info", "max_output_tokens"),
)
_MODALITIES: tuple[_Path, ...] = (("architecture", "input_modalities"), ("input_modalities",))
_MODALITY: dict[str, Modality] = {"text": "text", "image": "image", "audio": "audio", "video": "video", "file": "pdf"}

_FLAGS: tuple[tuple[_Path, Modality], ...] = (
    (("modalities", "vision"), "image"),
    (("modalities", "audio"), "audio"),
    (("modalities", "video"), "video"),
    (("has_image_understanding",), "image"),
    (("has_audio_understanding",), "audio"),
    (("model_info", "supports_vision"), "image"),
    (("model_info", "supports_audio_input"), "audio"),
    (("model_info", "supports_video_input"), "video"),
    (("model_info", "supports_pdf_input"), "pdf"),
)
"""Where servers write whether a model takes one kind of media: llama.cpp, SGLang, LiteLLM."""

_KINDS: dict[str, list[Modality]] = {"llm": ["text"], "vlm": ["text", "image"]}
"""LM Studio's types of models, in entries that have a compatibility_type as well."""

_MOST_TOKENS = 1 << 30
_MOST_KEYS = 1000


def described(card: ModelCard, details: JsonObject) -> ModelCard:
    """Return `card` with the values of the upstream's entry; where the entry has none, those of the card stay."""
    said = card_fields(details)
    return card.model_copy(update=said) if said else card


def card_fields(details: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a ModelCard that an upstream's words about a model fill."""
    said: dict[str, Any] = {}
    for name, paths in (("context_window", _CONTEXT_WINDOW), ("max_output_tokens", _MAX_OUTPUT)):
        numbers = (_at(details, path) for path in paths)
        if number := next((number for number in numbers if type(number) is int and 0 < number < _MOST_TOKENS), None):
            said[name] = number
    if modalities := _modalities(details):
        said["modalities"] = modalities
    if _at(details, ("chat_template_caps", "supports_parallel_tool_calls")) is False:
        said["parallel_tool_calls"] = False
    abilities = details.get("capabilities")
    if isinstance(abilities, list) and "completion" in abilities:  # Ollama's list
        said |= {"tools": "tools" in abilities, "reasoning": "thinking" in abilities}
    return said


def _modalities(details: Mapping[str, Any]) -> list[Modality]:
    """What the model takes as input; empty when nothing says it."""
    for path in _MODALITIES:
        value = _at(details, path)
        if isinstance(value, list) and "text" in value:
            return [modality for name, modality in _MODALITY.items() if name in value]
    if flags := {modality: flag for path, modality in _FLAGS if isinstance(flag := _at(details, path), bool)}:
        return ["text", *(modality for modality, flag in flags.items() if flag)]
    abilities = details.get("capabilities")
    if isinstance(abilities, list) and "completion" in abilities:
        return ["text", "image"] if "vision" in abilities else ["text"]
    kind = details.get("type") if "compatibility_type" in details else None
    return _KINDS.get(kind, []) if isinstance(kind, str) else []


def _at(details: Any, path: _Path) -> Any:
    """What stands at a path; a key with `*` is a glob, and the first key that it matches counts."""
    for key in path:
        if not isinstance(details, Mapping):
            return None
        if "*" in key:
            keys = list(details)[:_MOST_KEYS]
            key = next((name for name in keys if isinstance(name, str) and fnmatchcase(name, key)), key)
        details = details.get(key)
    return details
