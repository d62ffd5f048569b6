"""The state machine that makes all output: chat chunks in, Responses events out.

Non-streaming answers come from the same machine (see `completion.py`).
"""

from collections.abc import Callable, Iterator
from typing import Literal

from responses_gateway.protocol.errors import EmptyAnswer, GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.answer.call_assembler import name_in
from responses_gateway.translate.answer.chunk_reader import Piece, pieces_of
from responses_gateway.translate.answer.content_splitter import Hearing
from responses_gateway.translate.answer.items import Event, ItemStatus, NewId, Output
from responses_gateway.translate.answer.options import StreamOptions
from responses_gateway.translate.answer.output_assembler import Stage
from responses_gateway.translate.answer.snapshot import Snapshot
from responses_gateway.translate.answer.usage import merge_usage, translate_usage
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer
from responses_gateway.translate.repair.text_calls import TextCall
from responses_gateway.translate.repair.upstream_errors import failed_response_error
from responses_gateway.translate.token_estimate import estimated_usage
from responses_gateway.translate.tools.offered_tools import ForbiddenCall
from responses_gateway.translate.tools.table import ToolTable
from responses_gateway.translate.tools.web_search import Finding, SearchCall

type Clock = Callable[[], float]
"""Seconds since the epoch."""

type Verdict = Literal["completed", "max_output_tokens", "content_filter", "failed"]

_FINISHES: dict[str, Verdict] = {
    "length": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "max_output_tokens": "max_output_tokens",
    "model_length": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
    "safety": "content_filter",
    "error": "failed",
    "abort": "failed",
    "network_error": "failed",
    "insufficient_system_resource": "failed",
}
"""Finish reasons that are not the ordinary end of a turn."""


class ChatToResponses:
    """Translates one answer. Every method returns the events that are due; after the terminal event, none are."""

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
    ) -> None:
        self._snapshot = snapshot
        self._tools = tools
        self._ledger = ledger
        self._options = options
        self._new_id = new_id
        self._clock = clock
        self._output = output or Output(new_id)
        self.terminal: str | None = None
        """The response's status, once its terminal event was made."""
        self.usage: JsonObject | None = None
        """The usage of all upstream rounds so far, in the Responses shape."""
        self.content = 0
        """How many pieces of answers have come that say something."""
        self.prompt_tokens = 0
        """How large the prompt is about, for an upstream that does not tell."""
        self._stage = Stage(self._output, tools, ledger, options, new_id)
        self._search: SearchCall | None = None
        self._begin_round()

    def _begin_round(self) -> None:
        self._earlier_usage = self.usage
        self._search = None
        self.wants_round = False
        """Whether the round has ended with nothing but calls that the gateway has carried out."""
        self._finish_reason: str | None = None
        self._other_choices: dict[int, list[Piece]] = {}
        self.forbidden_call: ForbiddenCall | None = None
        """The call of the round that the client would not take; nothing behind it is heard."""
        self._begin_hearing()

    def _begin_hearing(self) -> None:
        options = self._options
        names = self._tools.wire_names if options.uncallable is None else options.uncallable
        self._hearing = Hearing(names if options.heal_markup else frozenset(), snapshots=options.reasoning_snapshots)

    # What the caller does ---------------------------------------------------------------------------------------------

    def start(self) -> list[Event]:
        """`response.created` and `response.in_progress`."""
        response = self._snapshot.render("in_progress")
        if self._options.queued:
            waiting = self._snapshot.render("queued")
            self._output.emit("response.created", {"response": waiting})
            self._output.emit("response.queued", {"response": waiting})
        else:
            self._output.emit("response.created", {"response": response})
        self._output.emit("response.in_progress", {"response": response})
        return self._output.take()

    def heartbeat(self) -> list[Event]:
        """An event that says nothing but that the turn is alive."""
        if not self.terminal:
            self._output.emit("response.in_progress", {"response": self._snapshot.render("in_progress")})
        return self._output.take()

    def chunk(self, chunk: JsonObject) -> list[Event]:
        """One parsed chunk of the upstream's stream, which carries no error (see `error_in`)."""
        if self.terminal:
            return []
        pieces, usage = pieces_of(chunk)
        if usage is not None:
            self.usage = merge_usage(self._earlier_usage, translate_usage(usage))
        for piece in pieces:
            if piece.has_content:
                self.content += 1
            if piece.choice:
                self._other_choices.setdefault(piece.choice, []).append(piece)
            else:
                self._take(piece)
        return self._output.take()

    def finish(self, done: bool) -> list[Event]:
        """The upstream's stream has ended; `done` tells whether it said so itself ([DONE], or a whole JSON body)."""
        if self.terminal or self._search is not None or self.wants_round:
            return []
        self.end_text()
        if error := self.forbidden_call or self._fault_at_end(done):
            return self.fail(error)
        return self._end()

    def _end(self) -> list[Event]:
        """The end of the round, as far as it goes without what a hosted call is still to find."""
        try:
            return self._end_round()
        except GatewayError as error:
            return self.fail(error)

    def _end_round(self) -> list[Event]:
        """Raises GatewayError for a call that was cut off, or that the client would not take."""
        verdict = _FINISHES.get(self._finish_reason or "", "completed")
        status: ItemStatus = "completed" if verdict == "completed" else "incomplete"
        self._search = self._stage.end_calls(status)
        if self._search is not None:
            return self._output.take()
        self.wants_round = verdict == "completed" and self._stage.only_searched
        if self.wants_round:
            self._stage.comment()
        self._stage.end_choice(status)
        if self.wants_round:
            return self._output.take()
        for choice in sorted(self._other_choices):
            self._stage.begin_choice()
            self._begin_hearing()
            for piece in self._other_choices[choice]:
                self._take(piece)
            self.end_text()
            if self.forbidden_call is not None:
                raise self.forbidden_call
            self._stage.end_choice(status)
        if not self._stage.has_answer and verdict == "completed":
            return self.fail(EmptyAnswer())
        self._terminate(verdict)
        return self._output.take()

    @property
    def hosted_call(self) -> SearchCall | None:
        """The call that the gateway has to carry out before the round, whose stream has ended, can end.

        `found` takes what it brought.
        """
        return self._search

    def found(self, finding: Finding) -> list[Event]:
        """What the hosted call brought; the round goes on to its end, to the next such call or to `wants_round`."""
        if self.terminal or self._search is None:
            return []
        self._stage.found(finding)
        return self._end()

    def fail(self, error: GatewayError) -> list[Event]:
        """End the answer with `response.failed`; what was shown of it stays in the response."""
        if self.terminal:
            return []
        unfinished = self._stage.abandon()
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
        """`fail` after a fault of our own, which may have left anything in any state."""
        try:
            return self.fail(error)
        except Exception:  # noqa: BLE001 (the first fault is the one to report)
            return self.last_words(error)

    def last_words(self, error: GatewayError) -> list[Event]:
        """The terminal event, last of all that is due, made without a look at the state that the answer is in."""
        self.terminal = "failed"
        details = {"code": error.code, "message": error.message}
        self._output.emit("response.failed", {"response": self._snapshot.render("failed", error=details)})
        return self._output.take()

    def next_round(self) -> None:
        """Another upstream answer follows within this response; what the last one said so far stays."""
        self._stage.begin_round()
        self._begin_round()

    def fault_of_draft(self) -> NonCompliantAnswer | None:
        """What is wrong with the answer to a request for JSON, whose upstream has ended its stream properly."""
        self.end_text()
        return None if _FINISHES.get(self._finish_reason or "") else self._stage.fault_of_draft()

    @property
    def has_shown(self) -> bool:
        """Whether anything of the current round's answer was shown to the client."""
        return self._stage.has_shown

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
        """Whether the current round, which is over, brought nothing at all, and not because of a limit."""
        return (
            not self.terminal
            and self._stage.empty
            and not self._other_choices
            and (self._finish_reason is None or self._finish_reason not in _FINISHES)
        )

    # What the upstream says -------------------------------------------------------------------------------------------

    def _take(self, piece: Piece) -> None:
        if self.forbidden_call is not None:
            return
        match piece.kind:
            case "text":
                if piece.objects:
                    self._stage.add_logprobs(piece.objects)
                self._show(self._hearing.text(piece.text))
            case "finish":
                self._finish_reason = piece.text
            case "call":
                if self._options.uncallable is None:
                    self._stage.take_call(piece.objects[0])
                else:
                    self._refuse_call(name_in(piece.objects[0]))
            case "details":
                self._stage.add_details(piece.objects)
            case "reasoning":
                self._stage.show(self._hearing.reasoning(piece.text))
            case _:
                self._stage.show(piece)

    def end_text(self) -> None:
        """The round brings no more text: take what was held back of it."""
        self._show(self._hearing.end())

    def _refuse_call(self, name: str) -> None:
        self._stage.comment()
        self.forbidden_call = ForbiddenCall(name or "a tool")

    def _show(self, heard: Iterator[Piece | TextCall]) -> None:
        for piece in heard:
            if self.forbidden_call is not None:
                return
            if isinstance(piece, TextCall) and self._options.uncallable is not None:
                self._refuse_call(piece.name)
            elif isinstance(piece, TextCall):
                self._stage.take_written_call(piece)
            else:
                self._stage.show(piece)

    # The end ----------------------------------------------------------------------------------------------------------

    def _fault_at_end(self, done: bool) -> GatewayError | None:
        reason = self._finish_reason
        if _FINISHES.get(reason or "") == "failed":
            return _upstream_fault(f"The upstream gave up: finish_reason {reason}.")
        if reason is None and not done:
            if not (self._options.tolerate_eof and self._stage.has_answered):
                return _upstream_fault(
                    "The upstream closed its stream before the answer was complete: neither finish_reason nor [DONE] "
                    "came."
                )
            self._ledger.add("repaired", "output", "the stream ended without finish_reason and [DONE]")
        if self._stage.has_nameless_call:
            return _upstream_fault("The upstream sent a tool call without a name.")
        return None

    def _terminate(self, verdict: Verdict) -> None:
        cut = verdict in ("max_output_tokens", "content_filter")
        self.terminal = "incomplete" if cut else "completed"
        if self.usage is None:
            # Clients rely on it: some fail without, Codex compacts by it.
            self.usage = estimated_usage(self.prompt_tokens, self._output.items)
            self._ledger.add("added", "usage", "an estimate: the upstream tells none")
        response = self._snapshot.render(
            self.terminal,
            output=self._output.items,
            usage=self.usage,
            incomplete_reason=verdict if cut else None,
            completed_at=None if cut else int(self._clock()),
        )
        event = "response.incomplete" if cut and not self._options.incomplete_completes else "response.completed"
        self._output.emit(event, {"response": response})


def _upstream_fault(message: str) -> GatewayError:
    return GatewayError(message, status=502, code="server_error", type="server_error")
