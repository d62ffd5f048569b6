"""Reads a stream of Responses events that is passed on as it is, to know how far the answer is."""

from collections.abc import Callable

from responses_gateway.protocol import encoding
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, loads
from responses_gateway.protocol.sse import FrameTooLong, SseDecoder
from responses_gateway.security.redaction import ErrorRedactor
from responses_gateway.translate.repair.upstream_errors import failed_response_error

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled", "error"})
_LARGEST_EVENT = 64 << 20
"""Bytes of one event: the last one holds all of the answer, pictures included."""

_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")
"""What stands behind an event, whatever ends the line before it."""


class NativeStream:
    """One streamed answer. Only whole events are passed on, so that another one can follow wherever it breaks off."""

    def __init__(self, content_encoding: str, errors: ErrorRedactor) -> None:
        """Raises ValueError for an encoding that is not known."""
        self._body = encoding.decoder(content_encoding)
        self._errors = errors
        self._decoder = SseDecoder(_LARGEST_EVENT, wraps_errors=False)
        self._held: list[bytes] = []
        """The beginning of an event that is not over."""

        self._held_size = 0

        self._comments = 0
        """How many came that no blank line has ended yet."""

        self._tail = b""
        """The last bytes of it: the mark of its end may come in pieces."""

        self._done_items: dict[int, JsonObject] = {}
        self._number = -1
        self.events = 0
        """How many have come."""

        self.is_over = False
        """Whether the last event of the answer has come."""

        self.is_cut = False
        """Whether more events came behind it: nothing of what follows is passed on."""

        self.response: JsonObject | None = None
        """The response as the stream told it last."""

    @property
    def keep_alives(self) -> int:
        return self._decoder.keep_alives + self._comments

    @property
    def done_items(self) -> list[JsonObject]:
        """The output items that are finished, in the order of the output."""
        return [item for _, item in sorted(self._done_items.items())]

    def feed(self, data: bytes) -> tuple[bytes, list[JsonObject]]:
        """What the client gets of `data`, and the events in it. Raises FrameTooLong, and encoding.ERRORS."""
        if self._body is not None:
            data = self._body.decode(data, encoding.MAX_PIECE)
        if self.is_cut:
            return b"", []
        whole = self._whole_events(data)
        events, end = self._read(self._decoder.feed(whole))
        if end is not None:
            self.is_cut = True
            whole = _first_events(whole, end)
        return self._errors.feed(whole), events

    def finish(self) -> tuple[bytes, list[JsonObject]]:
        """The rest, when the upstream has ended its message."""
        rest, self._held = b"".join(self._held), []
        was_over = self.is_over
        events, end = self._read([*self._decoder.feed(rest), *self._decoder.finish()])
        if self.is_cut or end is not None or not (was_over or events):
            # What is no event would become one with whatever follows it.
            rest = b""
        elif not self.is_over:
            rest += b"\n\n"
        return self._errors.feed(rest) + self._errors.finish(), events

    def _whole_events(self, data: bytes) -> bytes:
        """The bytes up to the end of the last event that is whole; the others wait."""
        seen = self._tail + data
        end = max((at + len(mark) for mark in _ENDS if (at := seen.rfind(mark)) >= 0), default=0) - len(self._tail)
        self._tail = seen[-3:]
        if end <= 0:
            self._hold(data)
            return b""
        whole = b"".join((*self._held, data[:end]))
        self._held, self._held_size, self._tail = [], 0, data[end:][-3:]
        self._hold(data[end:])
        return whole

    def _hold(self, data: bytes) -> None:
        """Keep bytes until their event is whole. Also comments and names count, which the decoder does not keep."""
        self._comments += data.startswith(b":")
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size > _LARGEST_EVENT:
            raise FrameTooLong(f"an event of the stream is longer than {_LARGEST_EVENT} bytes")

    def _read(self, payloads: list[bytes]) -> tuple[list[JsonObject], int | None]:
        """The events of the answer, and how many payloads they are when more events come behind the last one: nobody
        expects these. None: all."""
        events: list[JsonObject] = []
        for position, payload in enumerate(payloads):
            event = _event(payload)
            if event is not None and self.is_over:
                return events, position
            if event is not None:
                self.events += 1
                if isinstance(event.get("type"), str | None):
                    self._note(event)
                    events.append(event)
        return events, None

    def _note(self, event: JsonObject) -> None:
        kind = event.get("type")
        if isinstance(number := event.get("sequence_number"), int):
            self._number = max(self._number, number)
        if isinstance(response := event.get("response"), dict):
            self.response = response
        if kind == "response.output_item.done" and isinstance(item := event.get("item"), dict):
            index = event.get("output_index")
            self._done_items[index if isinstance(index, int) else len(self._done_items)] = item
        self.is_over = kind in _TERMINAL or (kind is None and bool(event.get("error")))

    def failed(self, error: GatewayError, begin: Callable[[], JsonObject], *, codex: bool) -> list[JsonObject]:
        """The events that end the answer with `error`: `response.failed` with the items that were finished, and before
        it `response.created`, with what `begin` makes, if the stream has told of no response."""
        events: list[JsonObject] = []
        response = self.response
        if response is None:
            response = begin()
            events.append(self._made("response.created", response))
        fault = failed_response_error(error, codex=codex)
        failed = {**response, "status": "failed", "error": fault, "output": self.done_items}
        return [*events, self._made("response.failed", failed)]

    def _made(self, kind: str, response: JsonObject) -> JsonObject:
        self._number += 1
        return {"type": kind, "sequence_number": self._number, "response": response}


def _event(payload: bytes) -> JsonObject | None:
    """The event in a payload; None for what is none, such as [DONE]."""
    try:
        event = loads(payload)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _first_events(data: bytes, count: int) -> bytes:
    """Of the bytes of whole events, the first that have so many payloads."""
    decoder, end = SseDecoder(_LARGEST_EVENT, wraps_errors=False), 0
    while count > 0 and end < len(data):
        begin = end
        end = min((at + len(mark) for mark in _ENDS if (at := data.find(mark, begin)) >= 0), default=len(data))
        count -= len(decoder.feed(data[begin:end]))
    return data[:end]
