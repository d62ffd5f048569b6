"""Output items of calls that the gateway carries out itself."""

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.answer.call_item import CallItem
from responses_gateway.translate.answer.items import ItemStatus, Output
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.hosted_results import hosted_result_entry
from responses_gateway.translate.tools.arguments import parsed_arguments
from responses_gateway.translate.tools.declared_tool import Tool
from responses_gateway.translate.tools.hosted import HostedCall, HostedResult, Step

_NEVER_INCOMPLETE = frozenset({"image_generation_call"})
"""Types whose items know no such status: a call that was cut off has failed."""


class HostedCallItem(CallItem):
    """A call of a hosted tool, in the form that the tool gives it; it stays open until it has its result.

    Calls are open side by side, because they are carried out at the same time.
    """

    def __init__(self, output: Output, tool: Tool, call_id: str, ledger: Ledger) -> None:
        assert tool.hosted is not None  # noqa: S101 (what the kind says)
        self._hosted = tool.hosted
        self._form = tool.hosted.function.form
        self.prefix = self._form.prefix
        self._result: HostedResult | None = None
        super().__init__(output, tool, call_id, ledger)
        if tool.hosted.function.result is not None:
            # The items come back without any other id, by which the upstream's signature has to be found.
            self.call_id = self.id
        self._tell("opened")

    @property
    def type(self) -> str:
        """That of the item."""
        return self._form.type

    @property
    def complete(self) -> bool:
        """Never: the result is still missing when the arguments are complete."""
        return False

    def _hides_cut(self, status: ItemStatus) -> bool:
        """Never: the gateway itself reports the fault to the model."""
        return False

    def start(self) -> HostedCall:
        """Return the call to carry out: its arguments are complete, or never will be."""
        self._send(self._remainder("completed"))
        if self._form.arguments_event is not None:
            self._emit(f"{self._form.arguments_event}.done", {"arguments": self.arguments})
        self._tell("started")
        return HostedCall(self._hosted.tool, self._hosted.function, parsed_arguments(self.arguments), self._emit)

    def end(self, result: HostedResult) -> None:
        """The call has its result."""
        self._result = result
        self.close("completed")

    @property
    def has_result(self) -> bool:
        """Whether the call has ended."""
        return self._result is not None

    @property
    def carried_result(self) -> JsonObject | None:
        """What has to travel to later turns besides the items; None when these say everything."""
        if self._result is None or self._hosted.function.result is not None:
            return None
        text, pictures = self._result.text, self._result.pictures
        return hosted_result_entry(self.type, self.id, self.call_id, self.tool.wire, self.arguments, text, pictures)

    def show_result(self) -> str | None:
        """Show the result as an item, if that is its form; returns the item's id."""
        if (form := self._hosted.function.result) is None:
            return None
        item_id = self._output.new_id(form.prefix)
        item: JsonObject = {"id": item_id, "type": form.type}
        index = self._output.add({**item, "status": "in_progress", **form.fields(None)})
        self._output.done(index, {**item, "status": "completed", **form.fields(self._result)})
        return item_id

    @property
    def arguments(self) -> str:
        """The arguments, as the model wrote them."""
        return "".join(self._sent)

    def close(self, status: ItemStatus) -> None:
        if status == "completed":
            self._tell("failed" if self._failed else "completed")
        self._end(self.arguments, status)

    @property
    def _failed(self) -> bool:
        return self._result is not None and self._result.failed

    def _tell(self, step: Step) -> None:
        if (event := self._form.events.get(step)) is not None:
            self._emit(event, {})

    def _delta(self, text: str) -> None:
        if self._form.arguments_event is not None:
            self._emit(f"{self._form.arguments_event}.delta", {"delta": text})

    def _item(self, status: str, text: str) -> JsonObject:
        return {
            "id": self.id,
            "type": self._form.type,
            "status": self._status(status),
            **self._form.fields(self.tool.name, text, self._result),
        }

    def _status(self, status: str) -> str:
        if self._failed and status == "completed":
            return "failed"
        return "failed" if status == "incomplete" and self.type in _NEVER_INCOMPLETE else status


class HostedQuestionItem(CallItem):
    """A call of a hosted tool that the client has to allow first."""

    def __init__(self, output: Output, tool: Tool, call_id: str, ledger: Ledger) -> None:
        assert tool.hosted is not None  # noqa: S101 (what the kind says)
        self._form = tool.hosted.function.form
        self.prefix = self._form.prefix
        super().__init__(output, tool, call_id, ledger)
        # The client sends the item back without any other id.
        self.call_id = self.id

    def _hides_cut(self, status: ItemStatus) -> bool:
        return status != "completed" or self._stream.cut

    def _item(self, status: str, text: str) -> JsonObject:
        return {"id": self.id, "type": self._form.type, **self._form.fields(self.tool.name, text, None)}


def open_hosted_call(output: Output, tool: Tool, call_id: str, ledger: Ledger) -> CallItem:
    """Open the item of a call of a hosted tool."""
    asks = tool.hosted is not None and tool.hosted.function.asks
    return (HostedQuestionItem if asks else HostedCallItem)(output, tool, call_id, ledger)
