"""Errors that gateways wrap around an upstream's: people need the sentence inside, once."""

import re

_CLASS = re.compile(r"\s*([\w.]{1,80}?(?:Error|Exception))(?::| -)\s+")
_BEHIND = re.compile(
    r"\n\nLiteLLM: model group |\nmodel=\S{1,200} context_window_fallbacks=|\. Received Model Group="
    r"|\nAvailable Model Group Fallbacks=| LiteLLM Retried: "
)
"""What LiteLLM says of its own settings, behind the upstream's words."""

_DEEPEST = 8
_LITELLM = "litellm."


def unwrapped(message: str) -> str:
    """The words of the upstream itself in `litellm.ContextWindowExceededError: litellm.BadRequestError: …`.

    One class name alone is part of what was said, unless it is LiteLLM's.
    """
    at, classes = 0, list[str]()
    while len(classes) < _DEEPEST and (found := _CLASS.match(message, at)):
        classes.append(found[1])
        at = found.end()
    ours = bool(classes) and classes[0].startswith(_LITELLM)
    if not ours and len(classes) < 2:
        return message
    behind = _BEHIND.search(message, at) if ours else None
    inner = message[at : behind.start() if behind else None].strip()
    return inner or message
