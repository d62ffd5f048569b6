"""Decodes and encodes server-sent events.

Reading follows the WHATWG's event stream format (CR, LF and CRLF, comments, several data lines) and forgives a last
frame without its blank line. Only `data` matters on the chat wire, and whether the event is called `error`.
"""

from collections.abc import Iterable

from responses_gateway.protocol.json import JsonObject, dumps, loads

MAX_FRAME = 16 * 1024 * 1024
"""The most bytes of one frame: a server that never ends a line must not fill the memory."""

_LINE = 64
"""Bytes that one line of a frame takes in addition to its text: many empty lines fill the memory, too."""

_BOM = b"\xef\xbb\xbf"


class FrameTooLong(ValueError):
    """A frame exceeded its limit."""


class SseDecoder:
    """Cuts a byte stream, in pieces of any size, into the data payloads of its events."""

    def __init__(self, limit: int = MAX_FRAME, *, wraps_errors: bool = True) -> None:
        """`limit`: bytes of one frame. `wraps_errors`: put the data of events that are called `error` into an object
        with the field `error`; the Responses API needs that not, because its data says what it is.
        """
        self._limit = limit
        self._wraps_errors = wraps_errors
        self._tail: list[bytes] = []
        self._tail_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._is_error = False
        self._skip_lf = False
        self._started = False
        self.keep_alives = 0
        """The number of comments so far, and of blank lines that end no event."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the payloads that `chunk` completes. Raises FrameTooLong."""
        if not self._started:
            if not chunk:
                return []
            chunk = b"".join((*self._tail, chunk))
            self._tail.clear()
            self._tail_size = 0
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._keep(chunk)
                return []
            self._started = True
            chunk = chunk.removeprefix(_BOM)
        if self._skip_lf and chunk:
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._skip_lf = chunk.endswith(b"\r")
            complete, rest = _terminated(chunk.splitlines(keepends=True))
        else:
            *complete, rest = chunk.split(b"\n")
        if complete and self._tail:
            complete[0] = b"".join((*self._tail, complete[0]))
            self._tail.clear()
            self._tail_size = 0
        payloads: list[bytes] = []
        for line in complete:
            if line:
                self._take(line)
            elif payload := self._payload():
                payloads.append(payload)
            else:
                self.keep_alives += 1
        if rest:
            self._keep(rest)
        return payloads

    def finish(self) -> list[bytes]:
        """Return the payload of a last frame that was not terminated."""
        tail = b"".join(self._tail)
        self._tail.clear()
        self._tail_size = 0
        if tail:
            self._take(tail)
        payload = self._payload()
        return [payload] if payload else []

    def _keep(self, rest: bytes) -> None:
        self._tail.append(rest)
        self._tail_size += len(rest)
        if self._tail_size > self._limit:
            raise FrameTooLong(f"a line of the event stream is longer than {self._limit} bytes")

    def _payload(self) -> bytes:
        """The data of the event that ends here; b"" when it has none."""
        data = b"\n".join(self._data)
        self._data.clear()
        self._data_size = 0
        if self._is_error:
            self._is_error = False
            return _as_error(data) if data else b""
        return data

    def _take(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(value)
            self._data_size += len(value) + _LINE
            if self._data_size > self._limit:
                raise FrameTooLong(f"an event of the stream is longer than {self._limit} bytes")
        elif line.startswith(b"event:"):
            self._is_error = self._wraps_errors and line[6:].strip() == b"error"
        elif line.startswith(b":"):
            self.keep_alives += 1


def _as_error(data: bytes) -> bytes:
    """Put the data of an event named `error` into an `error` object."""
    try:
        fault = loads(data)
    except (ValueError, RecursionError):
        fault = data.decode("utf-8", "replace")
    return data if isinstance(fault, dict) and "error" in fault else dumps({"error": fault})


def _terminated(lines: list[bytes]) -> tuple[list[bytes], bytes]:
    """`lines` (with their ends) without their ends, and the unterminated last one apart."""
    rest = lines.pop() if lines and not lines[-1].endswith((b"\r", b"\n")) else b""
    return [line.rstrip(b"\r\n") for line in lines], rest


def encode(event: JsonObject) -> bytes:
    """Encode one event in one piece: some parsers lose an event whose blank line comes in another read."""
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), dumps(event))


def encode_all(events: Iterable[JsonObject]) -> bytes:
    """Encode events, one after the other."""
    return b"".join([encode(event) for event in events])


DONE = b"data: [DONE]\n\n"
"""The end of the stream, as the Open Responses specification requires; Codex ignores it."""
