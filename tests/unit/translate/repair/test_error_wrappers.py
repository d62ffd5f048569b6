"""Of an error that was wrapped, people read what the upstream itself said; what to do is decided by all of it."""

# ruff: noqa: E501 (a row of a table is one line)

import pytest

from responses_gateway.translate.repair.error_wrappers import unwrapped
from responses_gateway.translate.repair.upstream_errors import classify

WRAPPED = [
    (
        "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: OpenAIException - This model's maximum context length is 16385 tokens.\nmodel=a. context_window_fallbacks=None. fallbacks=None.\n\nSet 'context_window_fallback' - https://docs.litellm.ai/docs/routing#fallbacks. Received Model Group=a\nAvailable Model Group Fallbacks=None",
        "This model's maximum context length is 16385 tokens.",
    ),
    (
        "litellm.BadRequestError: OpenAIException - Invalid tool_choice: maybe\n\nLiteLLM: model group 'tiny' failed with the error above. No fallback was attempted.",
        "Invalid tool_choice: maybe",
    ),
    ("litellm.RateLimitError: RateLimitError: OpenAIException - Provider returned error LiteLLM Retried: 10 times", "Provider returned error"),
    ("openai.BadRequestError: BadRequestError: It broke.", "It broke."),
]  # fmt: skip
PLAIN = [
    "ValueError: it broke",
    "It broke. Received Model Group=a",
    "Error code: 400 - it broke",
    "litellm.InternalServerError: ",
    "",
]


@pytest.mark.parametrize(("message", "words"), WRAPPED)
def test_the_sentence_is_kept_and_the_noise_dropped(message: str, words: str) -> None:
    assert unwrapped(message) == words


@pytest.mark.parametrize("message", PLAIN)
def test_what_is_not_wrapped_stays(message: str) -> None:
    assert unwrapped(message) == message


def test_class_names_still_tell_what_to_do() -> None:
    error = classify(429, "litellm.RateLimitError: OpenAIException - Slow down. LiteLLM Retried: 2 times", "429")
    assert (error.status, error.code) == (429, "rate_limit_exceeded")
    assert error.message.startswith("Slow down")
    error = classify(
        400, "litellm.ContextWindowExceededError: ContextWindowExceededError: Too much. context window", ""
    )
    assert (error.code, error.message) == ("context_length_exceeded", "Too much. context window")


def test_any_length_of_class_names_is_read_once() -> None:
    assert unwrapped("a" * 100_000 + "Error") == "a" * 100_000 + "Error"
