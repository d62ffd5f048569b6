"""Puts the parts of an answer together into output items, strictly one after another, as Codex wants them.

While a tool call is incomplete, everything that arrives for a later item waits in a queue. Behind a call that the
gateway carries out, it waits for the end of the upstream's answer; all such calls are then open side by side.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.answer.call_assembler import Call, CallAssembler
from responses_gateway.translate.answer.call_items import open_call
from responses_gateway.translate.answer.chunk_reader import DeltaPart
from responses_gateway.translate.answer.demands import IgnoredChoice
from responses_gateway.translate.answer.hosted_items import HostedCallItem
from responses_gateway.translate.answer.items import ItemStatus, NewId, Output
from responses_gateway.translate.answer.message_assembler import MessageAssembler
from responses_gateway.translate.answer.options import StreamOptions
from responses_gateway.translate.answer.parallel_calls import ParallelCalls, stands_for_several
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer
from responses_gateway.translate.repair.text_call_values import TextCall
from responses_gateway.translate.tools.hosted import BegunItem, HostedCall, HostedResult
from responses_gateway.translate.tools.table import ToolTable


class OutputAssembler:
    """Makes the output items of one response, choice after choice, in the order in which the client gets them."""

    def __init__(self, output: Output, tools: ToolTable, ledger: Ledger, options: StreamOptions, new_id: NewId) -> None:
        self._output = output
        self._tools = tools
        self._ledger = ledger
        self._options = options
        self._new_id = new_id
        self._messages = MessageAssembler(output, ledger, options)
        self._call: Call | None = None
        self._call_ids: set[str] = set()
        self._queue: deque[DeltaPart | Call] = deque()
        self._hosted_ids: set[str] = set()
        """Of the items of calls that the gateway carried out, and of their results."""

        self.begin_round()

    def begin_round(self) -> None:
        """Begin the next upstream answer of the response; the items so far stay."""
        self._items_before = len(self._output.items)
        self._hosted_items: dict[HostedCall, HostedCallItem] = {}
        """The items of the round's hosted calls, in the order of the calls."""

        self._hosted_pending: list[HostedCall] = []
        self.begin_choice()

    def begin_choice(self) -> None:
        """Begin the next choice of the upstream's answer; it does not continue the items of the last one."""
        self._calls = CallAssembler()
        self._messages.begin_choice()

    def show_begun(self, begun: Sequence[BegunItem]) -> None:
        """Show the items that were complete before the model was asked."""
        for one in begun:
            index = self._output.add(one.opened)
            for kind, fields in one.events:
                self._output.emit(kind, {"item_id": one.item["id"], "output_index": index, **fields})
            self._output.done(index, one.item)
            self._hosted_ids.add(one.item["id"])
        self._items_before = len(self._output.items)

    # State ------------------------------------------------------------------------------------------------------------

    @property
    def has_shown(self) -> bool:
        """Whether anything of the current round was shown."""
        items = self._output.items[self._items_before :]
        return bool(items or self._messages.has_open_item or self._call or self._hosted_items)

    @property
    def empty(self) -> bool:
        """Whether the current choice has nothing at all, not even something that waits."""
        return not (self.has_shown or self._messages.has_draft or self._queue or self._calls.calls)

    @property
    def has_answered(self) -> bool:
        """Whether the current choice has begun to answer, and no call lacks its end."""
        return self._messages.answered and self._calls_are_whole()

    @property
    def has_nameless_call(self) -> bool:
        """Whether a call came without the name of a tool."""
        return any(call.has_arguments and not call.name for call in self._calls.calls)

    def _calls_are_whole(self) -> bool:
        return self._call is None and not any(isinstance(waiting, Call) for waiting in self._queue)

    @property
    def only_hosted(self) -> bool:
        """Whether the model waits for results of the gateway, and for none of the client."""
        items = [call.item for call in self._calls.calls if call.item is not None]
        return bool(self._hosted_items) and all(isinstance(item, HostedCallItem) for item in items)

    @property
    def has_answer(self) -> bool:
        """Whether the response has more than reasoning and calls that the gateway carried out."""
        items = self._output.items
        return any(item["type"] != "reasoning" and item.get("id") not in self._hosted_ids for item in items)

    @property
    def can_stop(self) -> bool:
        """Whether no call of the round waits for its result, neither from the client nor from the gateway itself."""
        items = [call.item for call in self._calls.calls]
        return all(item is None or (isinstance(item, HostedCallItem) and item.has_result) for item in items)

    def hold_to(self, schema: JsonObject) -> None:
        """Hold the text back from now on, until it is known to match `schema`."""
        self._messages.hold_to(schema)

    def draft_fault(self) -> NonCompliantAnswer | None:
        """Check the text that is held back; None when nothing is wrong with it."""
        if self._messages.awaits_call and not self._calls.calls:
            return IgnoredChoice(self._messages.draft, self._options.demands.name)
        return self._messages.draft_fault()

    # Text and reasoning -----------------------------------------------------------------------------------------------

    def show(self, part: DeltaPart) -> None:
        """Show text, reasoning, a refusal, annotations or a picture, behind everything that waits."""
        if self._queue or self._call is not None:
            self._queue.append(part)
        else:
            self._messages.show(part)

    def add_logprobs(self, logprobs: Sequence[JsonObject]) -> None:
        """Add the log probabilities of the text that comes next."""
        self._messages.add_logprobs(logprobs)

    def add_details(self, entries: Sequence[JsonObject]) -> None:
        """Add `reasoning_details`, which the upstream wants back as they are."""
        self._messages.add_details(entries)

    # Tool calls -------------------------------------------------------------------------------------------------------

    def take_call(self, delta: JsonObject) -> None:
        """Take an entry of `tool_calls`."""
        call, text = self._calls.take(delta)
        if text:
            self._feed_call(call, text)

    def take_text_call(self, written: TextCall) -> None:
        """Take a call that the model wrote as text."""
        self._ledger.add("repaired", f"output.{written.name}", f"a call written as text ({written.form})")
        self._feed_call(self._calls.add(written.name), written.arguments)

    def _feed_call(self, call: Call, text: str) -> None:
        if call is self._call:
            self._feed_open_call(call, text)
        elif self._stands_for_several(call):
            self._take_apart(call, text)
        elif call.closed:
            self._split_glued(call, text)
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

    def _stands_for_several(self, call: Call) -> bool:
        waits = call.item is None and not call.closed and not call.queued
        return waits and stands_for_several(call.name) and call.name not in self._tools.wire_names

    def _take_apart(self, call: Call, text: str) -> None:
        """Several calls in one: they come when they are whole; what is not in the known form goes on as it is."""
        call.waiting.append(text)
        call.several = call.several or ParallelCalls()
        if not call.several.feed(text):
            return
        calls = call.several.calls()
        if calls is None:
            self._queue.append(call)
            call.queued = True
            self._advance()
            return
        self._ledger.add("repaired", f"output.{call.name}", f"taken apart into {len(calls)} calls")
        call.closed = True
        self._calls.calls.remove(call)
        for name, arguments in calls:
            self._feed_call(self._calls.add(name), arguments)

    def _open_call(self, call: Call) -> None:
        self._messages.make_way_for_call()
        call_id = call.upstream_id
        if call_id is None or call_id in self._call_ids:
            call_id = self._new_id("call")
        self._call_ids.add(call_id)
        call.item = open_call(self._output, self._tools.called(call.name), call_id, self._ledger)
        self._call = call
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
            self._split_glued(call, call.item.rest)

    def _split_glued(self, call: Call, text: str) -> None:
        """Take text behind the end of a call's arguments: another object is another call of the same tool."""
        if not text.strip():
            return
        if not text.lstrip().startswith("{"):
            self._ledger.add("dropped", f"output.{call.name}.arguments", "text behind the arguments")
            return
        self._ledger.add("repaired", f"output.{call.name}", "two calls glued together are two calls")
        call.successor = self._calls.add(call.name)
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
                self._messages.show(waiting)

    # Hosted calls -----------------------------------------------------------------------------------------------------

    @property
    def _hosted(self) -> HostedCallItem | None:
        """The open call, when it is one that the gateway carries out itself."""
        item = self._call.item if self._call is not None else None
        return item if isinstance(item, HostedCallItem) else None

    def _start_hosted(self, item: HostedCallItem) -> None:
        """Leave the call open, and go on to what waits behind it."""
        started, call = item.start(), self._call
        self._hosted_items[started] = item
        self._hosted_pending.append(started)
        self._call = None
        if call is not None:
            call.closed = True
            self._split_glued(call, item.rest)

    def add_hosted_result(self, call: HostedCall, result: HostedResult) -> None:
        """Take the result of a pending hosted call, and close the call."""
        if call not in self._hosted_pending:
            return
        self._hosted_pending.remove(call)
        self._messages.add_sources(result.sources)
        item = self._hosted_items[call]
        item.end(result)
        self._hosted_ids.add(item.id)

    # The end ----------------------------------------------------------------------------------------------------------

    def end_calls(self, status: ItemStatus) -> Sequence[HostedCall]:
        """End the calls of the current choice, and what waits behind them; returns the hosted ones without a result.

        Raises GatewayError for a call that was cut off, and whose item would not show it.
        """
        calls = iter(self._calls.calls)
        while self._call is not None or self._queue or self._open_bare_call(calls):
            if (hosted := self._hosted) is not None and status == "completed":
                self._start_hosted(hosted)
            else:
                self._end_call(status)
            self._advance(ending=True)
        return tuple(self._hosted_pending)

    def _end_call(self, status: ItemStatus) -> None:
        """Close the open call. If something came behind it, it was complete, whatever ended the answer."""
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
        self._messages.end_choice(status, self._signatures, self._carried_results)
        self._show_results()

    def stop(self) -> None:
        """End the current choice where no item is open; what waits for its turn is given up."""
        self._queue.clear()
        self._messages.stop(self._signatures, self._carried_results)
        self._show_results()

    @property
    def _signatures(self) -> dict[str, JsonObject]:
        """What the upstream wants back with its calls, by call id."""
        return {call.item.call_id: call.extra for call in self._calls.calls if call.item is not None and call.extra}

    @property
    def _carried_results(self) -> list[JsonObject]:
        """What has to travel with the hosted calls to later turns."""
        carried = [item.carried_result for item in self._hosted_items.values()]
        return [entry for entry in carried if entry is not None]

    def _show_results(self) -> None:
        """Show results that are items, behind the reasoning, which belongs to the calls."""
        hosted, self._hosted_items = self._hosted_items, {}
        for item in hosted.values():
            if (shown := item.show_result()) is not None:
                self._hosted_ids.add(shown)

    def add_last_line(self, line: str) -> None:
        """Add a line of the gateway's own behind the text, unless the model has called a tool and so goes on."""
        if not self._calls.calls:
            self._messages.add_last_line(line)

    def close_commentary(self) -> None:
        """Close the open message as commentary: it is not the answer, because another round follows."""
        self._messages.close_message("completed", "commentary")

    def abandon(self) -> list[JsonObject]:
        """End what is open of an answer that failed; returns the items that must not be done."""
        unfinished = [self._hosted_items[call].abandon() for call in self._hosted_pending]
        if self._call is not None and self._call.item is not None:
            unfinished.append(self._call.item.abandon())
            self._call = None
            if self._queue:
                self._ledger.add("dropped", "output", "what came behind a call that the upstream did not finish")
        else:
            for waiting in self._queue:
                if isinstance(waiting, DeltaPart):
                    self._messages.show(waiting)
        self._queue.clear()
        return [*unfinished, *self._messages.abandon()]
