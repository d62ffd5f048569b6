"""Splits off reasoning that a model wrote into its text, as a leading `<think>` block."""

from typing import Literal

_BLOCKS = {"<think>": "</think>", "<thinking>": "</thinking>", "<thought>": "</thought>", "◁think▷": "◁/think▷"}

type Section = tuple[Literal["reasoning", "text"], str]


class ThinkSplitter:
    """Splits a leading think block from the text behind it, wherever chunks end.

    Only a block at the very start counts: a model that mentions the tag later is talking about it. Line breaks next to
    the tags are removed.
    """

    def __init__(self) -> None:
        self._blank: list[str] = []
        """The white space that the text begins with."""
        self._held = ""
        self._closer: str | None = None
        self._behind = False
        self._at_tag = False
        self.passing = False
        """Whether all that follows is text, so that a caller may skip the splitter."""

    def feed(self, text: str) -> list[Section]:
        if self.passing:
            return [("text", text)]
        self._held += text
        sections: list[Section] = []
        if self._closer is None:
            self._look_for_opener()
        if self._closer is not None and not self._behind:
            self._read_reasoning(sections)
        if self._behind:
            self._trim()
            self.passing = bool(self._held)
        if self.passing:
            sections.append(("text", self._held))
            self._held = ""
        return sections

    def finish(self) -> list[Section]:
        """Return what was held back, at the end of the stream."""
        held, self._held = "".join([*self._blank, self._held]), ""
        self._blank.clear()
        if not held or self._behind:
            return []
        return [("text" if self._closer is None else "reasoning", held)]

    def _look_for_opener(self) -> None:
        start = self._held.lstrip()
        self._blank.append(self._held[: len(self._held) - len(start)])
        self._held = start
        for opener, closer in _BLOCKS.items():
            if start.startswith(opener):
                self._closer, self._held, self._at_tag = closer, start.removeprefix(opener), True
                self._blank.clear()
                return
        self.passing = not any(opener.startswith(start) for opener in _BLOCKS)
        if self.passing:
            self._held = "".join([*self._blank, start])
            self._blank.clear()

    def _read_reasoning(self, sections: list[Section]) -> None:
        closer = self._closer or ""
        if self._at_tag:
            self._trim()
            self._at_tag = not self._held
        reasoning, found, behind = self._held.partition(closer)
        if found:
            self._behind, self._held = True, behind
        else:
            keep = _overlap(reasoning, closer)
            reasoning, self._held = reasoning[: len(reasoning) - keep], reasoning[len(reasoning) - keep :]
        if reasoning:
            sections.append(("reasoning", reasoning))

    def _trim(self) -> None:
        self._held = self._held.lstrip("\r\n")


def _overlap(text: str, marker: str) -> int:
    """Return how many characters at the end of `text` may be the start of `marker`."""
    for length in range(min(len(text), len(marker) - 1), 0, -1):
        if marker.startswith(text[-length:]):
            return length
    return 0
