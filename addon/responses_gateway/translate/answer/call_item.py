"""The base of all output items that are tool calls."""

from abc import abstractmethod

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.answer.items import ItemStatus, Output, OutputItem
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.arguments import ArgumentStream, CallArguments
from responses_gateway.translate.tools.declared_tool import Tool


class CallItem(OutputItem):
    """A tool call. The kinds differ in how they show the arguments."""

    prefix: str

    def __init__(self, output: Output, tool: Tool, call_id: str, ledger: Ledger) -> None:
        super().__init__(output, self.prefix)
        self.tool = tool
        self.call_id = call_id
        self._ledger = ledger
        self._stream: CallArguments = self._new_stream()
        self._sent: list[str] = []
        self._fed = False
        self._open(self._item("in_progress", ""))

    def _new_stream(self) -> CallArguments:
        return ArgumentStream(self.tool.schema or None, whole_numbers=True)

    @property
    def complete(self) -> bool:
        """Whether the arguments are one whole JSON value."""
        return self._stream.complete

    @property
    def rest(self) -> str:
        """Text behind the arguments: those of a second call, which the model wrote right behind this one."""
        return self._stream.rest

    def feed(self, text: str) -> None:
        self._fed = self._fed or bool(text.strip())
        self._send(self._decode(text))

    def _decode(self, text: str) -> str:
        return self._stream.feed(text)

    def check_end(self, status: ItemStatus) -> None:
        """Raise GatewayError if the call was cut off and its item, closed with `status`, would not show that.

        Clients report broken JSON, and a patch without its last line, to the model, which then repeats the call. Half
        of anything else they would carry out.
        """
        if not self._hides_cut(status):
            return
        name = self.tool.name
        if status == "completed":
            message = f"The upstream ended its answer within a call of {name}; half a call is not handed on."
            raise GatewayError(message, 502, "server_error", type="server_error")
        # The same request would end at the same limit: clients must not repeat it on their own.
        message = f"A limit of the upstream ended its answer within a call of {name}; half a call is not handed on."
        raise GatewayError(message, 400, "max_output_tokens")

    def _hides_cut(self, status: ItemStatus) -> bool:
        """Whether the arguments were cut off, and the item would look whole."""
        return False

    def close(self, status: ItemStatus) -> None:
        self._send(self._remainder(status))
        for repair in self._stream.repairs:
            self._ledger.add("repaired", f"output.{self.tool.wire}.arguments", repair)
        self._end("".join(self._sent), status)

    def _remainder(self, status: ItemStatus) -> str:
        """Return the rest of the arguments. A call that was cut off before its arguments came has none."""
        return self._stream.finish() if status == "completed" or self._fed else ""

    def abandon(self) -> JsonObject:
        return self._item("incomplete", "".join(self._sent))

    def _send(self, text: str) -> None:
        if text:
            self._sent.append(text)
            self._delta(text)

    def _delta(self, text: str) -> None:
        """Show a part of the arguments; kinds without such an event send nothing."""

    def _end(self, text: str, status: ItemStatus) -> None:
        self._output.done(self._index, self._item(status, text))

    @abstractmethod
    def _item(self, status: str, text: str) -> JsonObject:
        """Render the item with the arguments `text`."""

    def _named(self, item: JsonObject) -> JsonObject:
        if (namespace := self.tool.call_namespace) is not None:
            item["namespace"] = namespace
        return item
