"""Reads what a `TurnRecorder` wrote: the turn behind a flow, as far as it was kept."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

from responses_gateway.inspection.recording import stream_capture
from responses_gateway.inspection.recording.turn_recorder import EVENTS, REQUEST, ROUNDS, TURN
from responses_gateway.protocol.json import JsonObject, loads
from responses_gateway.protocol.sse import FrameTooLong, SseDecoder


class Frame(NamedTuple):
    """One payload of an event stream. `value` is the parsed JSON, or the text when it is none."""

    at: int
    """Milliseconds since the turn was opened, when its last byte passed."""

    value: Any
    size: int
    missing: int = 0
    """Bytes that are not kept at this place; then there is no value."""


@dataclass(frozen=True)
class RecordedTurn:
    """One turn, from `flow.metadata`."""

    facts: JsonObject
    request: bytes | None
    rounds: list[JsonObject]
    events: stream_capture.CapturedStream | None

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Self | None:
        """None when the flow is no turn of the gateway."""
        facts = metadata.get(TURN)
        if not isinstance(facts, dict):
            return None
        return cls(facts, metadata.get(REQUEST), metadata.get(ROUNDS) or [], metadata.get(EVENTS))

    @cached_property
    def request_json(self) -> Any:
        """The client's request, parsed; None when it is no JSON or was not kept."""
        return parsed(self.request)


def parsed(body: bytes | None) -> Any:
    """`body` as JSON; None when it is none."""
    try:
        return loads(body) if body else None
    except (ValueError, RecursionError):
        return None


def frames(data: stream_capture.CapturedStream | None) -> Iterator[Frame]:
    """The events of a captured stream. A body that is no event stream (an error, a whole answer) is one frame."""
    kept = list(stream_capture.pieces(data)) if data else []
    if not kept:
        return
    start = next((piece.data for piece in kept if piece.data), b"").lstrip(b"\xef\xbb\xbf \r\n\t")[:1]
    if start in (b"{", b"[", b"<"):
        body = b"".join(piece.data for piece in kept)
        yield Frame(kept[-1].at, _value(body), len(body))
        return
    decoder = SseDecoder()
    skip = False
    for piece in kept:
        if piece.missing:
            yield Frame(piece.at, None, 0, piece.missing)
            decoder, skip = SseDecoder(), True
            continue
        try:
            payloads = decoder.feed(piece.data)
        except FrameTooLong as error:
            yield Frame(piece.at, str(error), 0)
            return
        for payload in payloads:
            # Behind a gap, the first payload may be the rest of one.
            if not skip or payload[:1] == b"{":
                yield Frame(piece.at, _value(payload), len(payload))
            skip = False
    for payload in decoder.finish():
        yield Frame(kept[-1].at, _value(payload), len(payload))


def _value(payload: bytes) -> Any:
    try:
        return loads(payload)
    except (ValueError, RecursionError):
        return payload.decode("utf-8", "replace")
