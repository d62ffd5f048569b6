"""Output items that are tool calls, one class for each kind that clients know."""

from collections.abc import Callable, Mapping

from responses_gateway.protocol.json import JsonObject, dumps_text
from responses_gateway.translate.answer.call_item import CallItem
from responses_gateway.translate.answer.hosted_items import open_hosted_call
from responses_gateway.translate.answer.items import ItemStatus, Output
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.arguments import CallArguments, InputStream, parsed_arguments
from responses_gateway.translate.tools.command_tools import CommandArguments, command_field
from responses_gateway.translate.tools.computer import actions_in
from responses_gateway.translate.tools.declared_tool import Kind, Tool
from responses_gateway.translate.tools.patch import PatchRepairer
from responses_gateway.translate.tools.patch_arguments import PatchArguments, patch_field


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


class ToolSearchCallItem(ObjectCallItem):
    prefix = "tsc"

    def _item(self, status: str, text: str) -> JsonObject:
        return {
            "id": self.id,
            "type": "tool_search_call",
            "status": status,
            "call_id": self.call_id,
            "execution": "client",
            "arguments": parsed_arguments(text),
        }


class LocalShellCallItem(ObjectCallItem):
    prefix = "lsh"

    def _item(self, status: str, text: str) -> JsonObject:
        action = {"type": "exec", "command": [], "env": {}, **parsed_arguments(text)}
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
        action = {"commands": [], "timeout_ms": None, "max_output_length": None, **parsed_arguments(text)}
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
        operation = {"type": "update_file", "path": "", **parsed_arguments(text)}
        if operation["type"] != "delete_file":
            operation.setdefault("diff", "")
        return {
            "id": self.id,
            "type": "apply_patch_call",
            "status": "in_progress" if status == "incomplete" else status,
            "call_id": self.call_id,
            "operation": operation,
        }


class ComputerCallItem(ObjectCallItem):
    """A call of the computer tool: one `action` of the older tool, `actions` of today's.

    A call without an action that can be carried out shows the model the screen: clients take no empty call.
    """

    prefix = "cu"

    @property
    def _takes_one(self) -> bool:
        return "action" in self.tool.schema["properties"]

    def _end(self, text: str, status: ItemStatus) -> None:
        repairs: list[str] = []
        actions = actions_in(parsed_arguments(text), repairs) if status == "completed" else []
        if status == "completed" and not actions:
            repairs.append("a screenshot instead of an action that can be carried out")
        if self._takes_one and len(actions) > 1:
            repairs.append(f"only the first of {len(actions)} actions: this tool has one in a call")
        for repair in repairs:
            self._ledger.add("repaired", f"output.{self.tool.wire}.arguments", repair)
        super()._end(text, status)

    def _item(self, status: str, text: str) -> JsonObject:
        actions = actions_in(parsed_arguments(text), []) if text else []
        if status == "completed" and not actions:
            actions = [{"type": "screenshot"}]
        return {
            "id": self.id,
            "type": "computer_call",
            "status": status,
            "call_id": self.call_id,
            **({"actions": actions} if not self._takes_one else {"action": actions[0]} if actions else {}),
            "pending_safety_checks": [],
        }


_KINDS: Mapping[Kind, Callable[[Output, Tool, str, Ledger], CallItem]] = {
    "function": FunctionCallItem,
    "custom": CustomCallItem,
    "tool_search": ToolSearchCallItem,
    "local_shell": LocalShellCallItem,
    "shell": ShellCallItem,
    "apply_patch": ApplyPatchCallItem,
    "computer": ComputerCallItem,
    "hosted": open_hosted_call,
}


def open_call(output: Output, tool: Tool, call_id: str, ledger: Ledger) -> CallItem:
    """Open the item that the client's declaration asks for."""
    return _KINDS[tool.kind](output, tool, call_id, ledger)


def arguments_text(value: object) -> str:
    """Return arguments as text, which they should be: some servers send the object itself, or null."""
    if value is None:
        return ""
    return value if isinstance(value, str) else dumps_text(value)
