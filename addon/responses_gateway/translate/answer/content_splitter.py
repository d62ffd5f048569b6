"""Splits what a model writes into text, reasoning, and tool calls that it wrote as text."""

from collections.abc import Iterator

from responses_gateway.translate.answer.chunk_reader import DeltaPart
from responses_gateway.translate.answer.think_splitter import ThinkSplitter
from responses_gateway.translate.repair.text_call_parser import TextCallParser
from responses_gateway.translate.repair.text_call_values import TextCall, TextReasoning


class ContentSplitter:
    """Splits the content of one choice.

    `names` are the tools whose calls are looked for in the text. `snapshots` says that a delta of reasoning may repeat
    all of the reasoning so far.
    """

    def __init__(self, names: frozenset[str], *, snapshots: bool) -> None:
        self._think = ThinkSplitter()
        self._text_calls = TextCallParser(names) if names else None
        self._snapshots = snapshots
        self._reasoning = ""

    def text(self, text: str) -> Iterator[DeltaPart | TextCall]:
        """Split a delta of text."""
        if self._think.passing:
            yield from self._parse_text_calls(text)
            return
        for kind, section in self._think.feed(text):
            yield from self._parse_text_calls(section) if kind == "text" else (DeltaPart("reasoning", section),)

    def reasoning(self, text: str) -> DeltaPart:
        """Return the new part of a delta of reasoning."""
        if self._snapshots and self._reasoning and text.startswith(self._reasoning):
            new, self._reasoning = text[len(self._reasoning) :], text
            return DeltaPart("reasoning", new)
        if self._snapshots:
            self._reasoning += text
        return DeltaPart("reasoning", text)

    def end(self) -> Iterator[DeltaPart | TextCall]:
        """Return what was held back, now that the choice has ended."""
        for kind, section in self._think.finish():
            yield from self._parse_text_calls(section) if kind == "text" else (DeltaPart("reasoning", section),)
        if self._text_calls is not None:
            yield from map(_delta_part, self._text_calls.finish())

    def _parse_text_calls(self, text: str) -> Iterator[DeltaPart | TextCall]:
        if self._text_calls is None:
            yield DeltaPart("text", text)
        else:
            yield from map(_delta_part, self._text_calls.feed(text))


def _delta_part(parsed: str | TextCall | TextReasoning) -> DeltaPart | TextCall:
    match parsed:
        case str():
            return DeltaPart("text", parsed)
        case TextReasoning(text):
            return DeltaPart("reasoning", text)
    return parsed
