"""The events of one answer on their way to the client: recorded, shown to the observer, and encoded."""

from collections.abc import Sequence

from responses_gateway.protocol import sse
from responses_gateway.protocol.responses import ResponsesRequest
from responses_gateway.state.recorder import Recorder
from responses_gateway.translate.answer.items import Event
from responses_gateway.turn.observers import TurnObserver, Unobserved
from responses_gateway.turn.runtime import Watch


class ClientStream:
    """Encodes events as server-sent events. The terminal one is held back until the response is stored."""

    def __init__(self, request: ResponsesRequest, recorder: Recorder, watch: Watch | None) -> None:
        self._request = request
        self._recorder = recorder
        self._watch = watch
        self.observer: TurnObserver = Unobserved()
        self._waiting = b""
        """Encoded events that were made while nobody could take them."""

        self._end = b""
        """The terminal event and [DONE], while the response is on its way to the store."""

    def record(self, events: list[Event]) -> None:
        """Record events that the client does not get as a stream."""
        self._record(events, sse.encode_all(events))

    def encode(self, events: list[Event], *, ended: bool) -> bytes:
        """The bytes that the client gets for `events`. `ended`: the last one is the terminal event."""
        if not ended:
            encoded = sse.encode_all(events)
            self._record(events, encoded)
            self.observer.sent(encoded, events)
            return encoded
        encoded, end = sse.encode_all(events[:-1]), sse.encode(events[-1])
        self._record(events, encoded + end)
        end += sse.DONE
        self.observer.sent(encoded + end, events)
        if not self._recorder.is_storing:
            return encoded + end
        self._end = end
        return encoded

    def _record(self, events: list[Event], encoded: bytes) -> None:
        self._recorder.take(events, encoded)
        if self._watch is not None:
            self._watch(self._request, events)

    def put_aside(self, encoded: bytes) -> None:
        """Keep encoded events for `take_waiting`."""
        self._waiting += encoded

    def take_waiting(self) -> bytes:
        """What was put aside, and the end of the stream if it need not wait for the store any longer."""
        waiting, self._waiting = self._waiting, b""
        if not self._recorder.is_storing:
            waiting += self._end
            self._end = b""
        return waiting

    @property
    def is_storing(self) -> bool:
        """Whether the end of the stream waits until the response is stored."""
        return bool(self._end)

    async def stored(self) -> None:
        """Return when the response is durable, or cannot be stored; `take_waiting` then gives the end."""
        await self._recorder.stored()

    def end_unstored(self) -> bytes:
        """The end of the stream, without waiting for the store any longer."""
        self._recorder.let_go()
        return self.take_waiting()


def encode_end(events: Sequence[Event]) -> bytes:
    """The last one of `events` and [DONE], for a stream that has lost its end."""
    return sse.encode(events[-1]) + sse.DONE
