"""The names of models as users read them: which one is proposed, and how the others are told."""

from collections.abc import Sequence

NAMED = 8
"""Names that are told one by one."""

_NOT_FOR_TALKING = ("embed", "rerank", "moderation", "whisper", "transcribe", "tts", "dall-e", "stable-diffusion")
"""Parts of the names of models that lists have beside those that answer with text."""


def proposed(names: Sequence[str]) -> str | None:
    """The first model that can probably be talked to; None without any."""
    talking = (name for name in names if not any(part in name.lower() for part in _NOT_FOR_TALKING))
    return next(talking, names[0] if names else None)


def told(names: Sequence[str]) -> str:
    """`a, b and 3 more`."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
