"""The upstream's answers, read round by round and translated into the events of one response.

A round whose answer is no use leaves a fault instead of events, as long as another round may do better.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from responses_gateway.protocol import sse
from responses_gateway.protocol.errors import EmptyAnswer, GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.answer.answer_reader import AnswerReader
from responses_gateway.translate.answer.items import Event
from responses_gateway.translate.answer.state_machine import AnswerStateMachine
from responses_gateway.translate.answer.whole_answer import completion_in, final_response
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.repair.upstream_errors import error_in
from responses_gateway.translate.token_estimate import estimated_tokens
from responses_gateway.translate.tools.hosted import HostedCall, HostedResult
from responses_gateway.turn.upstream_request import UpstreamRequest


class AnswerRounds:
    """Turns upstream bytes into events. The methods that make events are generators that may raise anything: the
    exchange ends the response then."""

    def __init__(self, machine: AnswerStateMachine, request: UpstreamRequest, ledger: Ledger, *, streams: bool) -> None:
        """`streams`: the client sees events as they are made, so that an error after the first one is final."""
        self._machine = machine
        machine.prompt_tokens = lambda: estimated_tokens(request.body)
        self._request = request
        self._ledger = ledger
        self._streams = streams
        self._started = False
        self._reader: AnswerReader | None = None
        self._closed = False
        self.mute = True
        """Whether the upstream's stream has not brought a single byte in this round."""

        self._forgives_empty = True
        self._forgives_draft = True
        self._forgives_call = True
        self.fault: GatewayError | None = None
        """Why the current round gave nothing although the client saw nothing of it: another round may do better."""

        self.ignores_schema = False
        """Whether the answer, already shown, breaks the schema that the upstream was to enforce."""

        self.response: JsonObject | None = None
        """The final response, if the result of a hosted call completed it."""

    # How far the answer is --------------------------------------------------------------------------------------------

    @property
    def has_shown(self) -> bool:
        """Whether the client has seen anything of the answer."""
        return self._machine.has_shown

    @property
    def has_begun(self) -> bool:
        """Whether the first events were made."""
        return self._started

    @property
    def settled(self) -> bool:
        """Whether the upstream has said how its answer ends; token counts may still follow."""
        return self._machine.finished or (self._reader is not None and self._reader.done)

    @property
    def ended(self) -> bool:
        """Whether the terminal event was made."""
        return self._machine.terminal is not None

    @property
    def status(self) -> str:
        """The response's status so far."""
        return self._machine.terminal or "in_progress"

    @property
    def usage(self) -> JsonObject | None:
        return self._machine.usage

    @property
    def items(self) -> list[JsonObject]:
        """The output items so far."""
        return self._machine.items

    @property
    def content(self) -> int:
        """Grows with each piece of the answer, whether the client sees it now, later or never."""
        return self._machine.content + (self._reader.pieces if self._reader is not None else 0)

    @property
    def keep_alives(self) -> int:
        """Grows with the comments and blank lines of the upstream's stream."""
        return self._reader.keep_alives if self._reader is not None else 0

    # Rounds -----------------------------------------------------------------------------------------------------------

    def begin(self, content_encoding: str) -> None:
        """The upstream answers with a stream. Raises ValueError for an encoding that is not known."""
        self._reader = AnswerReader(content_encoding, self._ledger)

    def distrust(self) -> None:
        """Hold the answer back until it is known to match: the upstream has ignored a schema before."""
        if self._machine.distrust():
            self._ledger.add(
                "learnt", "text.format", "held back until it matches: the upstream ignored a schema before"
            )

    def next_round(self) -> None:
        """The request goes out again; what the last round showed stays."""
        self._machine.next_round()
        self._reader = None
        self._closed = False
        self.mute = True
        self.fault = None

    @property
    def hosted_calls(self) -> Sequence[HostedCall]:
        """The calls of the model that the gateway carries out before the answer can go on."""
        return () if self.ended else self._machine.hosted_calls

    @property
    def wants_round(self) -> bool:
        """Whether the model is to be asked again, with the results of its hosted calls."""
        return self._machine.wants_round and not self.ended

    def add_hosted_result(self, call: HostedCall, result: HostedResult) -> Iterator[list[Event]]:
        """A hosted call has ended."""
        events = self._machine.add_hosted_result(call, result)
        self.response = final_response(events)
        yield events

    def take_shown(self) -> list[Event]:
        """What hosted calls have shown since the last events."""
        return self._machine.take_shown()

    # Events -----------------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> Iterator[list[Event]]:
        """Read bytes of a streamed answer."""
        self.mute = self.mute and not data
        yield self._opening()
        reader = self._reader
        if reader is None or self._closed or self.ended or self.fault is not None:
            return
        for chunk in reader.feed(data):
            yield self._read(chunk)
            if self.fault is not None:
                return
        if reader.done and self._machine.usage is not None:
            yield self._finish(done=True)

    def close(self) -> Iterator[list[Event]]:
        """The streamed answer has ended."""
        yield self._opening()
        reader = self._reader
        if reader is None or self._closed or self.ended or self.fault is not None:
            return
        self._closed = True
        try:
            for chunk in reader.finish():
                yield self._read(chunk)
        except GatewayError as error:
            yield self._report(error)
        if not self.ended and self.fault is None:
            yield self._finish(reader.done)

    def read_whole(self, body: bytes) -> Iterator[list[Event]]:
        """Read a whole answer; some servers stream it although nobody asked them to."""
        yield self._opening()
        self._reader = reader = AnswerReader("", self._ledger)
        try:
            chunks = [*reader.feed(body), *reader.finish()]
        except sse.FrameTooLong:
            chunks = []
        for chunk in chunks or [completion_in(body)]:
            yield self._read(chunk)
            if self.fault is not None:
                return
        yield self._finish(reader.done)

    def heartbeat(self) -> Iterator[list[Event]]:
        """Make something that keeps the client waiting."""
        yield self._opening()
        yield self._machine.heartbeat()

    def fail(self, error: GatewayError) -> Iterator[list[Event]]:
        """End the response with `error`."""
        yield self._opening()
        yield self._machine.fail(error)

    def fail_at_once(self, error: GatewayError) -> list[Event]:
        """The events that end the response with `error`, wherever its translation stopped."""
        return self._machine.fail(error)

    def give_up(self, error: GatewayError) -> list[Event]:
        """The same after a bug, without trusting what is open."""
        return self._machine.give_up(error)

    def last_words(self, error: GatewayError) -> list[Event]:
        """The same for a response whose terminal event was made, but was lost."""
        return self._machine.last_words(error)

    # Steps ------------------------------------------------------------------------------------------------------------

    def _opening(self) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return self._machine.start()

    def _read(self, chunk: Any) -> list[Event]:
        """Read one JSON value of the upstream's answer."""
        return self._read_value(chunk) + self._check_calls()

    def _read_value(self, chunk: Any) -> list[Event]:
        if error := error_in(chunk):
            return self._report(error)
        if isinstance(chunk, dict):
            return self._machine.chunk(chunk)
        self._ledger.add("dropped", "output", "a line of the upstream's stream that is no JSON object")
        return []

    def _report(self, error: GatewayError) -> list[Event]:
        """The upstream reports an error with status 200. It ends the response if the client has seen some of it."""
        # Some upstreams repeat the key that they refuse.
        error.message = self._request.redactor.clean_text(error.message)
        if self._machine.has_shown and self._streams:
            return self._machine.fail(error)
        self.fault = error
        return []

    def _check_calls(self) -> list[Event]:
        """A call that the client did not allow is a fault the first time, and ends the response the second time."""
        error = self._machine.forbidden_call
        if error is None or self.ended:
            return []
        if not self._forgives_call:
            return self._machine.fail(error)
        self._forgives_call = False
        self.fault = error
        return []

    def _finish(self, done: bool) -> list[Event]:
        """End the answer. One that is empty for no reason, or does not match its schema, is a fault the first time."""
        self._machine.end_text()
        events = self._check_calls()
        if self.fault is not None or events:
            return events
        if self._forgives_empty and self._machine.empty:
            self._forgives_empty = False
            self.fault = EmptyAnswer()
            return []
        if self._forgives_draft and (fault := self._machine.draft_fault()) is not None:
            self._forgives_draft = False
            self.fault = fault
            return []
        events = self._machine.finish(done)
        if self._machine.terminal == "completed" and (problem := self._machine.ignored_schema):
            self.ignores_schema = True
            self._ledger.add("changed", "text.format", f"ignored by the upstream: {problem}")
        return events
