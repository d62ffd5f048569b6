"""The state machine that translates one answer: it takes chat chunks and returns Responses events.

Whole answers, without streaming, go through the same machine (see `whole_answer.py`).
"""

from collections.abc import Callable, Iterator, Sequence

from responses_gateway.protocol.errors import EmptyAnswer, GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.answer.call_assembler import name_in
from responses_gateway.translate.answer.chunk_reader import DeltaPart, read_chunk
from responses_gateway.translate.answer.content_splitter import ContentSplitter
from responses_gateway.translate.answer.items import BeforeItem, Event, ItemStatus, NewId, Output
from responses_gateway.translate.answer.options import StreamOptions
from responses_gateway.translate.answer.output_assembler import OutputAssembler
from responses_gateway.translate.answer.snapshot import Snapshot
from responses_gateway.translate.answer.steering import Steering
from responses_gateway.translate.answer.usage import merge_usage, translate_usage
from responses_gateway.translate.answer.verdicts import FINISHES, INCOMPLETE, LAST_LINES, Verdict
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer
from responses_gateway.translate.repair.text_call_values import TextCall
from responses_gateway.translate.repair.upstream_errors import failed_response_error
from responses_gateway.translate.token_estimate import estimated_usage
from responses_gateway.translate.tools.hosted import BegunItem, HostedCall, HostedResult
from responses_gateway.translate.tools.offered_tools import ForbiddenCall
from responses_gateway.translate.tools.rules import DeniedCall
from responses_gateway.translate.tools.table import ToolTable

type Clock = Callable[[], float]
"""Seconds since the epoch."""


class AnswerStateMachine:
    """Translates one answer.

    Every method returns the events to send now; after the terminal event, there are none.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        tools: ToolTable,
        ledger: Ledger,
        options: StreamOptions,
        *,
        new_id: NewId,
        clock: Clock,
        output: Output | None = None,
        begun: Sequence[BegunItem] = (),
        steering: Steering | None = None,
    ) -> None:
        """`begun` are the items that were complete before the model was asked. `steering` may end the answer early."""
        self._snapshot = snapshot
        self._tools = tools
        self._ledger = ledger
        self._options = options
        self._new_id = new_id
        self._clock = clock
        self._begun = begun
        self._steering = steering or Steering()
        self._output = output or Output(new_id)
        self.terminal: str | None = None
        """The final status of the response, once its terminal event was made."""
        self.usage: JsonObject | None = None
        """The usage of all upstream rounds so far, in the Responses shape."""
        self.content = 0
        """The number of delta parts with content so far."""
        self.prompt_tokens: Callable[[], int] = lambda: 0
        """Estimates the prompt, for an upstream that sends no usage."""
        self._assembler = OutputAssembler(self._output, tools, ledger, options, new_id)
        self._hosted_calls: Sequence[HostedCall] = ()
        self._begin_round()

    def _begin_round(self) -> None:
        self._earlier_usage = self.usage
        self._hosted_calls = ()
        self.wants_round = False
        """Whether another round has to follow, because this one ended with calls that the gateway carried out."""
        self._finish_reason: str | None = None
        self._other_choices: dict[int, list[DeltaPart]] = {}
        self.forbidden_call: ForbiddenCall | DeniedCall | None = None
        """The call of the round that the client does not take; everything behind it is ignored."""
        self._new_splitter()

    def _new_splitter(self) -> None:
        options = self._options
        names = self._tools.wire_names if options.uncallable is None else options.uncallable
        self._splitter = ContentSplitter(
            names if options.heal_markup else frozenset(), snapshots=options.reasoning_snapshots
        )

    # Called from outside ----------------------------------------------------------------------------------------------

    def start(self) -> list[Event]:
        """Make `response.created` and `response.in_progress`, and the items that are there already."""
        response = self._snapshot.render("in_progress")
        if self._options.queued:
            waiting = self._snapshot.render("queued")
            self._output.emit("response.created", {"response": waiting})
            self._output.emit("response.queued", {"response": waiting})
        else:
            self._output.emit("response.created", {"response": response})
        self._output.emit("response.in_progress", {"response": response})
        self._assembler.show_begun(self._begun)
        return self._output.take()

    def take_shown(self) -> list[Event]:
        """The events that hosted calls have shown while they are carried out."""
        return self._output.take()

    def heartbeat(self) -> list[Event]:
        """Make an event that only shows that the turn is alive."""
        if not self.terminal:
            self._output.emit("response.in_progress", {"response": self._snapshot.render("in_progress")})
        return self._output.take()

    def chunk(self, chunk: JsonObject) -> list[Event]:
        """Translate one parsed chunk of the upstream's stream, which carries no error (see `error_in`)."""
        if self.terminal:
            return []
        parts, usage = read_chunk(chunk)
        if usage is not None:
            self.usage = merge_usage(self._earlier_usage, translate_usage(usage))
        self._output.takes_items = not self._is_steered
        try:
            for part in parts:
                if part.has_content:
                    self.content += 1
                if part.choice:
                    self._other_choices.setdefault(part.choice, []).append(part)
                else:
                    self._take(part)
        except BeforeItem:
            return self._end_steered()
        self._output.takes_items = True
        return self._output.take()

    @property
    def _is_steered(self) -> bool:
        """Whether the answer is to end before its next item."""
        return self._steering.wanted and self._assembler.can_stop

    def _end_steered(self) -> list[Event]:
        """End the response before the item that was about to open."""
        self._output.takes_items, self.wants_round = True, False
        self._ledger.add("changed", "output", "ended before its next item, because the client steered")
        self._assembler.stop()
        self._terminate("steered")
        return self._output.take()

    def finish(self, done: bool) -> list[Event]:
        """End the round. `done`: the upstream itself marked the end of its stream, by [DONE] or a whole JSON body."""
        if self.terminal or self._hosted_calls or self.wants_round:
            return []
        self.end_text()
        if error := self.forbidden_call or self._fault_at_end(done):
            return self.fail(error)
        return self._end()

    def _end(self) -> list[Event]:
        """End the round, as far as possible without the results of hosted calls."""
        try:
            return self._end_round()
        except BeforeItem:
            return self._end_steered()
        except GatewayError as error:
            return self.fail(error)

    def _end_round(self) -> list[Event]:
        """Raise GatewayError for a call that was cut off, or that the client does not take."""
        verdict = FINISHES.get(self._finish_reason or "", "completed")
        status: ItemStatus = "completed" if verdict == "completed" else "incomplete"
        self._hosted_calls = self._assembler.end_calls(status)
        if self._hosted_calls:
            return self._output.take()
        self.wants_round = verdict == "completed" and self._assembler.only_hosted
        if self.wants_round:
            self._assembler.close_commentary()
            if self._is_steered:
                raise BeforeItem
        if line := self._last_line(verdict):
            self._assembler.add_last_line(line)
            self._ledger.add("added", "output.text", f"a last line, because the client would not tell: {verdict}")
        self._assembler.end_choice(status)
        if self.wants_round:
            return self._output.take()
        for choice in sorted(self._other_choices):
            self._assembler.begin_choice()
            self._new_splitter()
            for part in self._other_choices[choice]:
                self._take(part)
            self.end_text()
            if self.forbidden_call is not None:
                raise self.forbidden_call
            self._assembler.end_choice(status)
        if not self._assembler.has_answer and verdict == "completed":
            if not self._says_done:
                return self.fail(EmptyAnswer())
            self._ledger.add("changed", "output", "an empty answer behind a tool result: the model is done")
        self._terminate(verdict)
        return self._output.take()

    def _last_line(self, verdict: Verdict) -> str | None:
        """Make the line that says why the text ends: Codex shows half a sentence as if it were all."""
        return LAST_LINES.get(verdict) if self._options.for_codex and self._options.incomplete_completes else None

    @property
    def hosted_calls(self) -> Sequence[HostedCall]:
        """The calls that the gateway has to carry out before the round, whose stream has ended, can end.

        `add_hosted_result` takes their results, in any order.
        """
        return self._hosted_calls

    def add_hosted_result(self, call: HostedCall, result: HostedResult) -> list[Event]:
        """Take the result of a hosted call, and end the round if it was the last one."""
        if self.terminal or call not in self._hosted_calls:
            return []
        self._assembler.add_hosted_result(call, result)
        return self._end()

    def fail(self, error: GatewayError) -> list[Event]:
        """End the answer with `response.failed`. The items that were shown stay in the response."""
        if self.terminal:
            return []
        unfinished = self._assembler.abandon()
        self.terminal = "failed"
        response = self._snapshot.render(
            "failed",
            output=[*self._output.items, *unfinished],
            usage=self.usage,
            error=failed_response_error(error, codex=self._options.for_codex),
        )
        self._output.emit("response.failed", {"response": response})
        return self._output.take()

    def give_up(self, error: GatewayError) -> list[Event]:
        """End the answer after a fault of the gateway itself, which may have left this object in any state."""
        try:
            return self.fail(error)
        except Exception:  # noqa: BLE001 (the first fault is the one to report)
            return self.last_words(error)

    def last_words(self, error: GatewayError) -> list[Event]:
        """Make the terminal event without reading the state of the answer; events that are due come before it."""
        self.terminal = "failed"
        details = {"code": error.code, "message": error.message}
        self._output.emit("response.failed", {"response": self._snapshot.render("failed", error=details)})
        return self._output.take()

    def next_round(self) -> None:
        """Begin another upstream answer within this response; the items so far stay."""
        self._assembler.begin_round()
        self._begin_round()

    def distrust(self) -> bool:
        """Hold the text back until it matches the schema that the upstream enforces; whether there is one."""
        schema = self._options.demands.schema
        if schema is not None:
            self._assembler.hold_to(schema)
        return schema is not None

    def draft_fault(self) -> NonCompliantAnswer | None:
        """Check the text that was held back, if its stream ended properly. None when nothing is wrong."""
        self.end_text()
        return None if FINISHES.get(self._finish_reason or "") else self._assembler.draft_fault()

    @property
    def ignored_schema(self) -> str | None:
        """What is wrong with the complete answer, by the schema that the upstream was to enforce."""
        return self._options.demands.breaks_schema(self._output.items)

    @property
    def has_shown(self) -> bool:
        """Whether anything of the current round's answer was shown to the client."""
        return self._assembler.has_shown

    @property
    def items(self) -> list[JsonObject]:
        """The output items that are done."""
        return self._output.items

    @property
    def finished(self) -> bool:
        """Whether the upstream has given its reason for ending the current round."""
        return self._finish_reason is not None

    @property
    def empty(self) -> bool:
        """Whether the current round, which is over, brought nothing at all although there was something to say."""
        return (
            not self.terminal
            and self._assembler.empty
            and not self._other_choices
            and (self._finish_reason is None or self._finish_reason not in FINISHES)
            and not self._says_done
        )

    @property
    def _says_done(self) -> bool:
        """Whether the model may end its turn without a word, and has ended it."""
        return self._options.silence_is_done and self._finish_reason is not None

    # Parts of chunks --------------------------------------------------------------------------------------------------

    def _take(self, part: DeltaPart) -> None:
        if self.forbidden_call is not None:
            return
        match part.kind:
            case "text":
                if part.objects:
                    self._assembler.add_logprobs(part.objects)
                self._show(self._splitter.text(part.text))
            case "finish":
                self._finish_reason = part.text
            case "call":
                name = name_in(part.objects[0])
                if name and self._options.uncallable is not None:
                    self._refuse_call(name)
                else:
                    self._take_call(part.objects[0])
            case "details":
                self._assembler.add_details(part.objects)
            case "reasoning":
                self._assembler.show(self._splitter.reasoning(part.text))
            case "audio":
                self._ledger.add("dropped", "output.audio", "the sound; what it says is the text")
            case _:
                self._assembler.show(part)

    def _take_call(self, delta: JsonObject) -> None:
        try:
            self._tools.require_allowed(name_in(delta))
            self._assembler.take_call(delta)
        except DeniedCall as error:
            self._assembler.close_commentary()
            self.forbidden_call = error

    def end_text(self) -> None:
        """Show the text that was held back, because no more text follows in this round."""
        self._show(self._splitter.end())

    def _refuse_call(self, name: str) -> None:
        self._assembler.close_commentary()
        self.forbidden_call = ForbiddenCall(name)

    def _show(self, deltas: Iterator[DeltaPart | TextCall]) -> None:
        for part in deltas:
            if self.forbidden_call is not None:
                return
            if isinstance(part, TextCall) and self._options.uncallable is not None:
                self._refuse_call(part.name)
            elif isinstance(part, TextCall):
                self._assembler.take_text_call(part)
            else:
                self._assembler.show(part)

    # The end ----------------------------------------------------------------------------------------------------------

    def _fault_at_end(self, done: bool) -> GatewayError | None:
        reason = self._finish_reason
        if FINISHES.get(reason or "") == "failed":
            return _upstream_fault(f"The upstream gave up: finish_reason {reason}.")
        if reason is None and not done:
            if not (self._options.tolerate_eof and self._assembler.has_answered):
                return _upstream_fault(
                    "The upstream closed its stream before the answer was complete: neither finish_reason nor [DONE] "
                    "came."
                )
            self._ledger.add("repaired", "output", "the stream ended without finish_reason and [DONE]")
        if self._assembler.has_nameless_call:
            return _upstream_fault("The upstream sent a tool call without a name.")
        return None

    def _terminate(self, verdict: Verdict) -> None:
        cut = verdict in INCOMPLETE
        if not cut:
            self._options.demands.account(self._output.items, self._ledger)
        self.terminal = "incomplete" if cut else "completed"
        if self.usage is None:
            # Clients rely on it: some fail without, Codex compacts by it.
            self.usage = estimated_usage(self.prompt_tokens(), self._output.items)
            self._ledger.add("added", "usage", "an estimate: the upstream tells none")
        response = self._snapshot.render(
            self.terminal,
            output=self._output.items,
            usage=self.usage,
            incomplete_reason=verdict if cut else None,
            completed_at=None if cut else int(self._clock()),
        )
        # Who steers a response waits for the event that says so.
        completes = not cut or (self._options.incomplete_completes and verdict != "steered")
        event = "response.completed" if completes else "response.incomplete"
        self._output.emit(event, {"response": response})


def _upstream_fault(message: str) -> GatewayError:
    return GatewayError(message, status=502, code="server_error", type="server_error")
