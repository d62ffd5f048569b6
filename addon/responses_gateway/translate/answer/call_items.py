"""Output items that are tool calls, one class for each kind that clients know."""

from abc import abstractmethod
from collections.abc import Sequence

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps_text, loads
from responses_gateway.translate.answer.items import ItemStatus, Output, OutputItem
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.arguments import ArgumentStream, CallArguments, InputStream
from responses_gateway.translate.tools.command_tools import CommandArguments, command_field
from responses_gateway.translate.tools.patch import PatchRepairer
from responses_gateway.translate.tools.patch_arguments import PatchArguments, patch_field
from responses_gateway.translate.tools.table import Tool
from responses_gateway.translate.tools.web_search import SearchCall, SearchCallResult, Source, action


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
        if self.tool.namespace is not None:
            item["namespace"] = self.tool.namespace
        return item


class FunctionCallItem(CallItem):
    prefix = "fc"

    def _new_stream(self) -> CallArguments:
        if (field := patch_field(self.tool)) is not None:
            return PatchArguments(field)
        field = command_field(self.tool.name, self.tool.schema) if self.tool.namespace is None else None
        return super()._new_stream() if field is None else CommandArguments(field, self.tool.schema)

    def _remainder(self, status: ItemStatus) -> str:
        if status != "completed" and isinstance(self._stream, PatchArguments):
            return self._stream.give_up()
        return super()._remainder(status)

    def _delta(self, text: str) -> None:
        self._emit("response.function_call_arguments.delta", {"delta": text})

    def _end(self, text: str, status: ItemStatus) -> None:
        self._emit("response.function_call_arguments.done", {"name": self.tool.name, "arguments": text})
        super()._end(text, status)

    def _item(self, status: str, text: str) -> JsonObject:
        return self._named(
            {
                "id": self.id,
                "type": "function_call",
                "status": status,
                "call_id": self.call_id,
                "name": self.tool.name,
                "arguments": text,
            }
        )


class CustomCallItem(CallItem):
    """A call of a freeform tool. Its input is decoded from the one string field of the function while it arrives."""

    prefix = "ctc"

    def __init__(self, output: Output, tool: Tool, call_id: str, ledger: Ledger) -> None:
        self._patch_repairer = PatchRepairer() if tool.name == "apply_patch" else None
        super().__init__(output, tool, call_id, ledger)

    def _new_stream(self) -> InputStream:
        return InputStream()

    @property
    def complete(self) -> bool:
        """As for all calls, but a patch that lacks its last line may go on to the end of the answer."""
        return super().complete and (self._patch_repairer is None or self._patch_repairer.ended)

    def _hides_cut(self, status: ItemStatus) -> bool:
        return self._patch_repairer is None and (status != "completed" or self._stream.cut)

    def _decode(self, text: str) -> str:
        decoded = self._stream.feed(text)
        return self._patch_repairer.feed(decoded) if self._patch_repairer else decoded

    def _remainder(self, status: ItemStatus) -> str:
        decoded = self._stream.finish()
        repairer = self._patch_repairer
        if repairer is None:
            return decoded
        whole = status == "completed" and not self._stream.cut
        rest = repairer.feed(decoded)
        rest += repairer.finish(closed=self._stream.complete) if whole else repairer.give_up()
        for repair in repairer.repairs:
            self._ledger.add("repaired", f"output.{self.tool.wire}.input", repair)
        return rest

    def _delta(self, text: str) -> None:
        self._emit("response.custom_tool_call_input.delta", {"delta": text})

    def _end(self, text: str, status: ItemStatus) -> None:
        self._emit("response.custom_tool_call_input.done", {"input": text})
        super()._end(text, status)

    def _item(self, status: str, text: str) -> JsonObject:
        return self._named(
            {
                "id": self.id,
                "type": "custom_tool_call",
                "status": status,
                "call_id": self.call_id,
                "name": self.tool.name,
                "input": text,
            }
        )


class ObjectCallItem(CallItem):
    """A call whose item holds the arguments as an object; they are shown at once, when the call is complete."""

    def _hides_cut(self, status: ItemStatus) -> bool:
        return status != "completed" or self._stream.cut

    def _arguments(self, text: str) -> JsonObject:
        try:
            value = loads(text or "{}")
        except (ValueError, RecursionError):
            value = None
        return value if isinstance(value, dict) else {}


class ToolSearchCallItem(ObjectCallItem):
    prefix = "tsc"

    def _item(self, status: str, text: str) -> JsonObject:
        return {
            "id": self.id,
            "type": "tool_search_call",
            "status": status,
            "call_id": self.call_id,
            "execution": "client",
            "arguments": self._arguments(text),
        }


class LocalShellCallItem(ObjectCallItem):
    prefix = "lsh"

    def _item(self, status: str, text: str) -> JsonObject:
        action = {"type": "exec", "command": [], "env": {}, **self._arguments(text)}
        return {
            "id": self.id,
            "type": "local_shell_call",
            "status": status,
            "call_id": self.call_id,
            "action": action,
        }


class ShellCallItem(ObjectCallItem):
    prefix = "sh"

    def _item(self, status: str, text: str) -> JsonObject:
        action = {"commands": [], "timeout_ms": None, "max_output_length": None, **self._arguments(text)}
        return {
            "id": self.id,
            "type": "shell_call",
            "status": status,
            "call_id": self.call_id,
            "action": action,
            "environment": None,
        }


class ApplyPatchCallItem(ObjectCallItem):
    prefix = "apc"

    def _item(self, status: str, text: str) -> JsonObject:
        operation = {"type": "update_file", "path": "", **self._arguments(text)}
        if operation["type"] != "delete_file":
            operation.setdefault("diff", "")
        return {
            "id": self.id,
            "type": "apply_patch_call",
            "status": "in_progress" if status == "incomplete" else status,
            "call_id": self.call_id,
            "operation": operation,
        }


class WebSearchCallItem(ObjectCallItem):
    """A call that the gateway carries out itself; it stays open until it has its result."""

    prefix = "ws"

    def __init__(self, output: Output, tool: Tool, call_id: str, ledger: Ledger) -> None:
        self._sources: Sequence[Source] | None = None
        self._failed = False
        super().__init__(output, tool, call_id, ledger)
        self._emit("response.web_search_call.in_progress", {})

    @property
    def complete(self) -> bool:
        """Never: the result is still missing when the arguments are complete."""
        return False

    def _hides_cut(self, status: ItemStatus) -> bool:
        """Never: the gateway itself reports the fault to the model."""
        return False

    def start_search(self) -> SearchCall:
        """Return the call to carry out, because its arguments are complete."""
        self._send(self._remainder("completed"))
        self._emit("response.web_search_call.searching", {})
        return SearchCall(self.tool.name, self._arguments(self.arguments))

    def set_result(self, result: SearchCallResult, with_sources: bool) -> None:
        self._failed = result.failed
        self._sources = result.sources if with_sources else None

    @property
    def arguments(self) -> str:
        """The arguments, as the model wrote them."""
        return "".join(self._sent)

    def close(self, status: ItemStatus) -> None:
        if status == "completed" and not self._failed:
            self._emit("response.web_search_call.completed", {})
        self._end(self.arguments, status)

    def _item(self, status: str, text: str) -> JsonObject:
        return {
            "id": self.id,
            "type": "web_search_call",
            "status": "failed" if self._failed and status == "completed" else status,
            "action": action(self.tool.name, self._arguments(text), self._sources),
        }


_KINDS: dict[str, type[CallItem]] = {
    "function": FunctionCallItem,
    "custom": CustomCallItem,
    "tool_search": ToolSearchCallItem,
    "local_shell": LocalShellCallItem,
    "shell": ShellCallItem,
    "apply_patch": ApplyPatchCallItem,
    "web_search": WebSearchCallItem,
}


def open_call(output: Output, tool: Tool, call_id: str, ledger: Ledger) -> CallItem:
    """Open the item that the client's declaration asks for."""
    return _KINDS[tool.kind](output, tool, call_id, ledger)


def arguments_text(value: object) -> str:
    """Return arguments as text, which they should be: some servers send the object itself, or null."""
    if value is None:
        return ""
    return value if isinstance(value, str) else dumps_text(value)
