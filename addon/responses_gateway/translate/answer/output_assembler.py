"""Where items appear: strictly one after another, as Codex wants them.

What arrives for a later item while a tool call is still incomplete waits in a queue.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Literal

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.answer.call_assembler import Call, CallAssembler
from responses_gateway.translate.answer.call_items import WebSearchCallItem, open_call
from responses_gateway.translate.answer.chunk_reader import Piece, merge_details
from responses_gateway.translate.answer.items import (
    ItemStatus,
    MessageItem,
    NewId,
    Output,
    ReasoningItem,
)
from responses_gateway.translate.answer.options import StreamOptions
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import Thought
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer, check
from responses_gateway.translate.repair.text_calls import TextCall
from responses_gateway.translate.request.search_results import sealed_finding
from responses_gateway.translate.tools.table import ToolTable
from responses_gateway.translate.tools.web_search import Finding, SearchCall, Source


class Stage:
    """Shows what a model says, choice after choice, as output items."""

    def __init__(self, output: Output, tools: ToolTable, ledger: Ledger, options: StreamOptions, new_id: NewId) -> None:
        self._output = output
        self._tools = tools
        self._ledger = ledger
        self._options = options
        self._new_id = new_id
        self._sources: list[Source] = []
        self._message: MessageItem | None = None
        self._reasoning: ReasoningItem | None = None
        self._call: Call | None = None
        self._call_ids: set[str] = set()
        self._queue: deque[Piece | Call] = deque()
        self.begin_round()

    def begin_round(self) -> None:
        """Another upstream answer follows; what the last one said stays."""
        self._items_before = len(self._output.items)
        self._findings: list[JsonObject] = []
        self.begin_choice()

    def begin_choice(self) -> None:
        """What was said of one answer is not continued by the next."""
        self._assembler = CallAssembler()
        self._blank: list[str] = []
        """White space that no other text has followed yet."""
        self._draft: list[str] = []
        self._logprobs: list[JsonObject] = []
        self._thoughts: list[str] = []
        self._details: list[JsonObject] = []
        self._answered = False

    # What there is ----------------------------------------------------------------------------------------------------

    @property
    def has_shown(self) -> bool:
        """Whether anything of the current round was shown."""
        return bool(self._output.items[self._items_before :] or self._message or self._reasoning or self._call)

    @property
    def empty(self) -> bool:
        """Whether the current choice has nothing at all, not even something that waits."""
        return not (self.has_shown or self._draft or self._queue or self._assembler.calls)

    @property
    def has_answered(self) -> bool:
        """Whether the current choice has begun to answer, and no call lacks its end."""
        return self._answered and self._calls_are_whole()

    @property
    def has_nameless_call(self) -> bool:
        """Whether a call came whose tool nobody can know."""
        return any(call.has_arguments and not call.name for call in self._assembler.calls)

    def _calls_are_whole(self) -> bool:
        return self._call is None and not any(isinstance(waiting, Call) for waiting in self._queue)

    @property
    def only_searched(self) -> bool:
        """Whether the model waits for results of the gateway's, and for none of the client's."""
        items = [call.item for call in self._assembler.calls if call.item is not None]
        return bool(self._findings) and all(isinstance(item, WebSearchCallItem) for item in items)

    @property
    def has_answer(self) -> bool:
        """Whether the response has more than thoughts and searches."""
        return any(item["type"] not in ("reasoning", "web_search_call") for item in self._output.items)

    def fault_of_draft(self) -> NonCompliantAnswer | None:
        """What is wrong with the text that is held back."""
        schema = self._options.schema
        if schema is None or not self._draft:
            return None
        draft = "".join(self._draft)
        _, problem = check(draft, schema)
        return NonCompliantAnswer(draft, problem) if problem is not None else None

    # Text and reasoning -----------------------------------------------------------------------------------------------

    def show(self, piece: Piece) -> None:
        """Show text, reasoning, a refusal or annotations, in their turn."""
        if self._queue or self._call is not None:
            self._queue.append(piece)
        else:
            self._show(piece)

    def add_logprobs(self, logprobs: Sequence[JsonObject]) -> None:
        """Of the text that comes next."""
        self._logprobs += logprobs

    def add_details(self, entries: Sequence[JsonObject]) -> None:
        """Reasoning as the upstream wants it back."""
        merge_details(self._details, entries, snapshots=self._options.reasoning_snapshots)

    def _show(self, piece: Piece) -> None:
        match piece.kind:
            case "text":
                self._show_text(piece.text)
            case "reasoning":
                self._show_reasoning(piece.text)
            case "refusal":
                self._open_message().refusal(piece.text)
            case "annotations":
                for annotation in piece.objects:
                    self._open_message().annotate(annotation)

    def _show_text(self, text: str) -> None:
        if self._options.schema is not None:
            self._draft.append(text)
            self._answered = self._answered or bool(text.strip())
            return
        self._write(text)

    def _show_draft(self, status: ItemStatus) -> None:
        """The JSON that was held back; something else becomes a refusal, because no client could use it."""
        draft = self._take_draft()
        if not draft.strip() or self._options.schema is None:
            return
        text, problem = check(draft, self._options.schema)
        if problem is not None and status == "completed":
            self._ledger.add("changed", "output.text", f"a refusal, because the text does not match: {problem}")
            self._open_message().refusal(f"The model's answer does not match the requested format: {problem}")
        else:
            self._write(text)

    def _take_draft(self) -> str:
        draft, self._draft = "".join(self._draft), []
        return draft

    def _write(self, text: str) -> None:
        if self._message is None:
            # Line breaks between a thought and a call are no message: blank text waits for more.
            self._blank.append(text)
            if not text.strip():
                return
            text, self._blank = "".join(self._blank), []
        message = self._message or self._open_message()
        if self._logprobs:
            logprobs, self._logprobs = self._logprobs, []
            message.text(text, logprobs)
        else:
            message.text(text)

    def _open_message(self) -> MessageItem:
        if self._message is None:
            self._close_reasoning("completed")
            self._message = MessageItem(self._output)
            self._answered = True
        return self._message

    def _show_reasoning(self, text: str) -> None:
        if not text:
            return
        self._close_message("completed", "commentary")
        self._thoughts.append(text)
        if self._reasoning is None:
            self._reasoning = ReasoningItem(
                self._output, self._options.reasoning, self._options.seal_reasoning, self._options.seal
            )
        self._reasoning.text(text)

    def _close_message(self, status: ItemStatus, phase: Literal["commentary", "final_answer"]) -> None:
        if self._message is not None:
            if self._options.for_codex:
                self._message.phase = phase
            if self._sources:
                self._message.cite(self._sources)
            self._message.close(status)
            self._message = None

    def _close_reasoning(self, status: ItemStatus) -> None:
        if self._reasoning is not None:
            self._reasoning.thought = Thought(details=self._details)
            self._details = []
            self._reasoning.close(status)
            self._reasoning = None

    # Tool calls -------------------------------------------------------------------------------------------------------

    def take_call(self, delta: JsonObject) -> None:
        """An entry of `tool_calls`."""
        call, text = self._assembler.take(delta)
        if text:
            self._feed_call(call, text)

    def take_written_call(self, written: TextCall) -> None:
        """A call that the model wrote as text."""
        self._ledger.add("repaired", f"output.{written.name}", f"a call written as text ({written.form})")
        self._feed_call(self._assembler.add(written.name), written.arguments)

    def _feed_call(self, call: Call, text: str) -> None:
        if call is self._call:
            self._feed_open_call(call, text)
        elif call.closed:
            self._glue(call, text)
        else:
            call.waiting.append(text)
            if call.queued:
                if call.name:
                    self._advance()
            elif self._call is None and not self._queue and call.name:
                self._open_call(call)
            else:
                call.queued = True
                self._queue.append(call)

    def _open_call(self, call: Call) -> None:
        if self._draft:
            self._write(self._take_draft())
        self._close_reasoning("completed")
        self._close_message("completed", "commentary")
        call_id = call.upstream_id
        if call_id is None or call_id in self._call_ids:
            call_id = self._new_id("call")
        self._call_ids.add(call_id)
        call.item = open_call(self._output, self._tools.called(call.name), call_id, self._ledger)
        self._call = call
        self._answered = True
        self._feed_open_call(call, "".join(call.waiting))
        call.waiting.clear()

    def _feed_open_call(self, call: Call, text: str) -> None:
        item = call.item
        assert item is not None  # noqa: S101 (an open call has its item)
        item.feed(text)
        if item.complete:
            self._close_call("completed")
            self._advance()

    def _close_call(self, status: ItemStatus) -> None:
        call, self._call = self._call, None
        if call is not None and call.item is not None:
            call.closed = True
            call.item.close(status)
            self._glue(call, call.item.rest)

    def _glue(self, call: Call, text: str) -> None:
        """Text behind the end of a call's arguments: another object is another call of the same tool."""
        if not text.strip():
            return
        if not text.lstrip().startswith("{"):
            self._ledger.add("dropped", f"output.{call.name}.arguments", "text behind the arguments")
            return
        self._ledger.add("repaired", f"output.{call.name}", "two calls glued together are two calls")
        call.successor = self._assembler.add(call.name)
        self._feed_call(call.successor, text)

    def _advance(self, *, ending: bool = False) -> None:
        """Show what waits, up to the next incomplete call; a name may still come for a call, unless this is the end."""
        while self._queue and self._call is None:
            waiting = self._queue[0]
            nameless = isinstance(waiting, Call) and not waiting.name
            if nameless and not ending:
                return
            self._queue.popleft()
            if nameless:
                self._ledger.add("dropped", "output.tool_calls", "a call without a name")
            elif isinstance(waiting, Call):
                self._open_call(waiting)
            else:
                self._show(waiting)

    # Hosted calls -----------------------------------------------------------------------------------------------------

    @property
    def _hosted(self) -> WebSearchCallItem | None:
        """The open call, when it is one that the gateway carries out itself."""
        item = self._call.item if self._call is not None else None
        return item if isinstance(item, WebSearchCallItem) else None

    def found(self, finding: Finding) -> None:
        """What the open hosted call brought."""
        call, item = self._call, self._hosted
        if call is None or item is None:
            return
        self._sources += [source for source in finding.sources if source not in self._sources]
        self._findings.append(sealed_finding(item.id, item.call_id, item.tool.wire, item.arguments, finding.text))
        item.found(finding, self._options.search_sources)
        self._close_call("completed")
        self._advance()

    # The end ----------------------------------------------------------------------------------------------------------

    def end_calls(self, status: ItemStatus) -> SearchCall | None:
        """End the calls of the current choice, and what waits behind them, up to a hosted one that has to run first.

        Raises GatewayError for a call that was cut off, and whose item would not show it.
        """
        calls = iter(self._assembler.calls)
        while self._call is not None or self._queue or self._open_bare_call(calls):
            if self._hosted is not None and status == "completed":
                return self._hosted.ask()
            self._end_call(status)
            self._advance(ending=True)
        return None

    def _end_call(self, status: ItemStatus) -> None:
        """Close the open call; what came behind it shows that no limit has ended it."""
        item = self._call.item if self._call is not None else None
        if item is None:
            return
        if self._queue or item.rest:
            status = "completed"
        item.check_end(status)
        self._close_call(status)

    def _open_bare_call(self, calls: Iterator[Call]) -> bool:
        """Open the next call that came without any arguments, if there is one."""
        call = next((call for call in calls if call.item is None and call.name), None)
        if call is not None:
            self._open_call(call)
        return call is not None

    def end_choice(self, status: ItemStatus) -> None:
        """End every item of the current choice; one that a limit cut off is incomplete."""
        self.end_calls(status)
        self._show_draft(status)
        blank, self._blank = "".join(self._blank), []
        if blank and not self._answered and not self._thoughts:
            self._open_message().text(blank)
        elif blank:
            self._ledger.add("dropped", "output.text", "blank text without any other")
        if not self._answered and self._thoughts and status == "completed":
            self._ledger.add("changed", "output.reasoning", "shown as the answer, because nothing else came")
            self._open_message().text("".join(self._thoughts))
        self._close_message(status, "final_answer")
        self._keep_signatures(status)

    def _keep_signatures(self, status: ItemStatus) -> None:
        """Close the reasoning with what the upstream wants back; what came too late for it gets an item of its own."""
        signatures = {
            call.item.call_id: call.extra for call in self._assembler.calls if call.item is not None and call.extra
        }
        if self._reasoning is None and (signatures or self._details or self._findings):
            self._reasoning = ReasoningItem(
                self._output, self._options.reasoning, self._options.seal_reasoning, self._options.seal
            )
        if self._reasoning is not None:
            details, self._details = self._details, []
            self._reasoning.thought = Thought(details=details, calls=signatures, findings=self._findings)
            self._reasoning.close(status)
            self._reasoning = None

    def comment(self) -> None:
        """What the message says was not the answer: a round follows."""
        self._close_message("completed", "commentary")

    def abandon(self) -> list[JsonObject]:
        """End what is open for an answer that failed; returns the items that must not be done."""
        unfinished = []
        if self._call is not None and self._call.item is not None:
            unfinished.append(self._call.item.abandon())
            self._call = None
            if self._queue:
                self._ledger.add("dropped", "output", "what came behind a call that the upstream did not finish")
        else:
            for waiting in self._queue:
                if isinstance(waiting, Piece):
                    self._show(waiting)
        self._queue.clear()
        if self._options.for_codex:
            # It asks again with all items that were done: half a message would be the last one of its history.
            unfinished += [item.abandon() for item in (self._reasoning, self._message) if item is not None]
            self._reasoning = self._message = None
        else:
            self._close_message("incomplete", "commentary")
            self._close_reasoning("incomplete")
        return unfinished
