"""Estimates the number of tokens, because the tokenizer of the model is not available.

The estimate is four bytes of UTF-8 per token: about right for English and code with today's tokenizers, too high for
most other scripts. A picture counts as 1,000 tokens, whatever its bytes.
"""

from collections.abc import Sequence

from responses_gateway.protocol.json import JsonObject, dumps

BYTES_PER_TOKEN = 4
PICTURE_TOKENS = 1000
_MESSAGE_TOKENS = 4
"""Tokens that a chat template adds to each message."""


def estimated_tokens(body: JsonObject) -> int:
    """Estimate the prompt tokens of a chat request."""
    text, pictures = prompt_text(body)
    size = sum(len(piece.encode("utf-8", "replace")) for piece in text)
    messages = len(body.get("messages", ()))
    return size // BYTES_PER_TOKEN + pictures * PICTURE_TOKENS + messages * _MESSAGE_TOKENS


def prompt_text(body: JsonObject) -> tuple[list[str], int]:
    """Return all text that the model reads, and the number of pictures and other media."""
    text = [dumps(tool.get("function", tool)).decode() for tool in body.get("tools", ())]
    pictures = 0
    for message in body.get("messages", ()):
        content = message.get("content")
        if isinstance(content, str):
            text.append(content)
        for part in content if isinstance(content, list) else ():
            if isinstance(part.get("text"), str):
                text.append(part["text"])
            else:
                pictures += 1
        text += [value for name in ("reasoning_content", "reasoning") if (value := message.get(name))]
        for call in message.get("tool_calls", ()):
            text += [call["function"]["name"], call["function"]["arguments"]]
    return text, pictures


def estimated_usage(prompt_tokens: int, output: Sequence[JsonObject]) -> JsonObject:
    """Return the usage object of an answer with these items, for an upstream that sends no usage."""
    reasoning = sum(_item_size(item) for item in output if item["type"] == "reasoning") // BYTES_PER_TOKEN
    written = sum(_item_size(item) for item in output if item["type"] != "reasoning") // BYTES_PER_TOKEN
    return {
        "input_tokens": prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written + reasoning,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": prompt_tokens + written + reasoning,
    }


def _item_size(item: JsonObject) -> int:
    """Return the bytes of text that the model wrote for an output item."""
    parts = [part.get("text") or part.get("refusal") for part in item.get("content") or ()]
    fields = [item.get(name) for name in ("name", "arguments", "input")]
    return sum(len(text.encode("utf-8", "replace")) for text in (*parts, *fields) if isinstance(text, str))
