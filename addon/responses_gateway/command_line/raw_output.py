"""Shows the output of models on a terminal while it arrives."""

from collections.abc import Sequence
from typing import TextIO

from responses_gateway.protocol.responses import ResponsesRequest
from responses_gateway.security.terminal import lines, one_line
from responses_gateway.translate.answer.items import Event


class RawOutput:
    """An exchange's `Watch`: the deltas of all answers as they come, each item under a line that says what it is.

    On a terminal, what would control it is shown instead; a file or a pipe gets what models say as they say it.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_terminal = out.isatty()

    def __call__(self, request: ResponsesRequest, events: Sequence[Event]) -> None:
        for event in events:
            kind = event["type"]
            if kind == "response.output_item.added" and isinstance(item := event.get("item"), dict):
                self._head(f"{request.model}: {item.get('name') or item.get('type')}")
            elif kind.endswith(".delta") and isinstance(event.get("delta"), str):
                self._out.write(lines(event["delta"]) if self._is_terminal else event["delta"])
            elif kind in ("response.completed", "response.incomplete", "response.failed"):
                self._head(f"{request.model}: {kind.removeprefix('response.')}")
        self._out.flush()

    def _head(self, text: str) -> None:
        self._out.write(f"\n[{one_line(text)}]\n")
