"""What a model says, told apart: text, thoughts, and calls that it wrote as text."""

from collections.abc import Iterator

from responses_gateway.translate.answer.chunk_reader import Piece
from responses_gateway.translate.answer.think_splitter import ThinkSplitter
from responses_gateway.translate.repair.text_calls import MarkupHealer, TextCall, TextReasoning


class Hearing:
    """Of one choice. `names` are the tools whose calls are looked for in text; `snapshots`: a delta of reasoning may
    repeat all of it so far."""

    def __init__(self, names: frozenset[str], *, snapshots: bool) -> None:
        self._think = ThinkSplitter()
        self._healer = MarkupHealer(names) if names else None
        self._snapshots = snapshots
        self._reasoning = ""

    def text(self, text: str) -> Iterator[Piece | TextCall]:
        """A delta of text."""
        if self._think.passing:
            yield from self._heal(text)
            return
        for kind, spoken in self._think.feed(text):
            yield from self._heal(spoken) if kind == "text" else (Piece("reasoning", spoken),)

    def reasoning(self, text: str) -> Piece:
        """A delta of reasoning: its new part."""
        if self._snapshots and self._reasoning and text.startswith(self._reasoning):
            new, self._reasoning = text[len(self._reasoning) :], text
            return Piece("reasoning", new)
        if self._snapshots:
            self._reasoning += text
        return Piece("reasoning", text)

    def end(self) -> Iterator[Piece | TextCall]:
        """What was held back."""
        for kind, spoken in self._think.finish():
            yield from self._heal(spoken) if kind == "text" else (Piece("reasoning", spoken),)
        if self._healer is not None:
            yield from map(_heard, self._healer.finish())

    def _heal(self, text: str) -> Iterator[Piece | TextCall]:
        if self._healer is None:
            yield Piece("text", text)
        else:
            yield from map(_heard, self._healer.feed(text))


def _heard(healed: str | TextCall | TextReasoning) -> Piece | TextCall:
    match healed:
        case str():
            return Piece("text", healed)
        case TextReasoning(text):
            return Piece("reasoning", text)
    return healed
