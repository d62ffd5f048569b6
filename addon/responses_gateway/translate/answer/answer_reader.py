"""Reads the body of an upstream's answer as JSON values."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from responses_gateway.protocol.body import BodyReader
from responses_gateway.protocol.json import loads
from responses_gateway.translate.answer.surrogates import SurrogateJoiner
from responses_gateway.translate.answer.whole_answer import completion_in
from responses_gateway.translate.ledger import Ledger

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""The beginning of half a pair; it can only come escaped."""


class AnswerReader:
    """Reads the body of one answer, in pieces of any size; skips lines that are not JSON."""

    def __init__(self, content_encoding: str, ledger: Ledger) -> None:
        """Raises ValueError for an encoding that is not known."""
        self._body = BodyReader(content_encoding)
        self._ledger = ledger
        self._surrogates = SurrogateJoiner()
        self.done = False
        """Whether the upstream has marked its answer as complete."""

    @property
    def pieces(self) -> int:
        """The number of pieces so far, if the body is one document."""
        return self._body.pieces

    @property
    def keep_alives(self) -> int:
        """The number of comments and blank lines so far."""
        return self._body.keep_alives

    def feed(self, data: bytes) -> Iterator[Any]:
        """Return the chunks that `data` completes. Raises FrameTooLong, and encoding.ERRORS."""
        return self._chunks(self._body.feed(data))

    def finish(self) -> Iterator[Any]:
        """Return the rest at the end of the body, or all of it as a completion. Raises GatewayError if it is none."""
        yield from self._chunks(self._body.finish())
        if self._body.kind in ("json", "other"):
            yield completion_in(self._body.body())
            self.done = True
        self._note_halves()

    def _chunks(self, payloads: Iterable[bytes]) -> Iterator[Any]:
        for payload in payloads:
            if payload.strip() == b"[DONE]":
                self._note_halves()
                self.done = True
                continue
            try:
                chunk = self._parsed(payload)
            except (ValueError, RecursionError):
                self._ledger.add("dropped", "output", "a line of the upstream's stream that is not JSON")
                continue
            if self.done:
                # Behind the end only token counts matter.
                chunk = {"usage": chunk.get("usage")} if isinstance(chunk, dict) else {}
            yield chunk

    def _parsed(self, payload: bytes) -> Any:
        """Raises ValueError and RecursionError."""
        try:
            chunk = loads(payload)
        except UnicodeDecodeError:
            chunk = loads(payload.decode("utf-8", "replace"))
            self._ledger.add("repaired", "output", "bytes that are not UTF-8 are replaced")
        cut = self._surrogates.holds or (b"\\u" in payload and _SURROGATE.search(payload))
        return self._surrogates.join(chunk) if cut and isinstance(chunk, dict) else chunk

    def _note_halves(self) -> None:
        """Record the half characters whose other half did not come: they are lost."""
        if self._surrogates.holds and not self.done:
            self._ledger.add("dropped", "output", "half a character, whose other half did not come")
