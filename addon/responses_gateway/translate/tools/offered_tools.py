"""Renders `tools` and `tool_choice` of a chat request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import ToolsProfile
from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.chat import ChatMessage, ChatTool
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.computer import COMPUTER_TYPES
from responses_gateway.translate.tools.declarations import missing_parameter
from responses_gateway.translate.tools.declared_tool import Kind, Tool
from responses_gateway.translate.tools.table import ToolTable

type Mode = Literal["auto", "none", "required"]

_KINDS: dict[object, Kind] = {
    "function": "function",
    "custom": "custom",
    "tool_search": "tool_search",
    "local_shell": "local_shell",
    "shell": "shell",
    "apply_patch": "apply_patch",
    **dict.fromkeys(COMPUTER_TYPES, "computer"),
}


def offers_tools(request: wire.ResponsesRequest) -> bool:
    """Whether the client offers tools now; those that its history found by searching do not count."""
    return bool(request.tools) or any(isinstance(item, wire.AdditionalTools) and item.tools for item in request.input)


def forbids_calls(request: wire.ResponsesRequest) -> bool:
    """Whether the client takes no call as an answer: it offers no tools now, or its tool_choice is `none`."""
    choice = request.tool_choice
    if isinstance(choice, dict):
        inner = choice.get("allowed_tools")
        choice = (inner if isinstance(inner, dict) else choice).get("mode")
    return choice == "none" or not offers_tools(request)


class ForbiddenCall(GatewayError):
    """The model called a tool although the client takes no call; asking once more without any tools may help."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The model called {name} where it was to call no tool.", 502, "server_error", type="server_error"
        )


def without_tools(body: JsonObject, profile: ToolsProfile) -> JsonObject:
    """Return a chat request without the fields that OfferedTools renders."""
    fields = {"tools", "tool_choice", "parallel_tool_calls", *profile.stream_extra}
    return {key: value for key, value in body.items() if key not in fields}


@dataclass(slots=True)
class OfferedTools:
    """Renders the tool fields of one chat request. `thinks`: whether the model will reason before it answers."""

    request: wire.ResponsesRequest
    table: ToolTable
    profile: ToolsProfile
    card: ModelCard
    ledger: Ledger
    thinks: bool

    def render(self, messages: Sequence[ChatMessage], earlier: Sequence[ChatTool]) -> JsonObject:
        """`tools`, `tool_choice` and what goes with them; empty without tools. Raises GatewayError."""
        if not self.card.tools:
            if len(self.table):
                self.ledger.add("dropped", "tools", "the model calls no tools")
            self._require_no_call("the model calls no tools")
            return {}
        if not offers_tools(self.request):
            self._require_no_call("the request has no 'tools'")
        fields = self._offer() if offers_tools(self.request) else self._keep(messages, earlier)
        return {**fields, **self.profile.stream_extra} if fields and self.request.stream else fields

    def _offer(self) -> JsonObject:
        choice, allowed = self._wanted_choice()
        rendered: list[JsonObject | ChatTool] = [
            *self.table.render(self.profile, None if allowed is None else self._only(allowed)),
            *self._hosted(),
        ]
        if not rendered:
            self._require_no_call("none of the tools that it allows can be offered to the model here")
            return {}
        return {"tools": rendered, **self._tool_choice(choice), **self._parallel()}

    def _require_no_call(self, why: str) -> None:
        """Raise GatewayError if the client insists on a call, which cannot be."""
        choice = self.request.tool_choice
        if isinstance(choice, dict):
            choice = _allowed_in(choice).get("mode", "auto") if choice.get("type") == "allowed_tools" else "required"
        if choice == "required":
            raise GatewayError(
                f"'tool_choice' asks for a call, but {why}.", code="unsupported_value", param="tool_choice"
            )

    def _hosted(self) -> list[JsonObject]:
        """The declarations for the upstream itself, as far as the request allows them."""
        choice = self.request.tool_choice
        if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
            return self.table.passed_on
        types = {entry.get("type") for entry in _allowed_in(choice).get("tools") or () if isinstance(entry, dict)}
        for tool in self.table.passed_on:
            if tool["type"] not in types:
                self.ledger.add("dropped", f"tools.{tool['type']}", "not among the allowed_tools", loss=False)
        return [tool for tool in self.table.passed_on if tool["type"] in types]

    def _keep(self, messages: Sequence[ChatMessage], earlier: Sequence[ChatTool]) -> JsonObject:
        """Declare tools for a request that offers none, but whose history calls some.

        They are the tools that the session offered before. For an unknown session, they are those in its history, and
        functions without a schema for the others. Without any tools, upstreams refuse such a history, or their models
        answer with markup.
        """
        called = dict.fromkeys(
            call["function"]["name"] for message in messages for call in message.get("tool_calls", ())
        )
        if not called:
            return {}
        self.ledger.add("added", "tools", "those of the session, not to be called: its history calls them")
        found = self.table.render(self.profile)
        known = {tool["function"]["name"] for tool in found}
        bare: list[ChatTool] = [
            {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
            for name in called
            if name not in known
        ]
        return {"tools": list(earlier) or [*bare, *found], **self._tool_choice("none")}

    def _only(self, allowed: Sequence[Tool]) -> set[str]:
        """Return the wire names to offer: chat upstreams know no `allowed_tools`, so other tools are left out."""
        names = {tool.wire for tool in allowed}
        for tool in self.table:
            if tool.wire not in names:
                self.ledger.add("dropped", f"tools.{tool.wire}", "not among the allowed_tools", loss=False)
        return names

    def _tool_choice(self, choice: Mode | Tool | None) -> JsonObject:
        limits: set[str] = {self.profile.choice}
        if self.thinks and choice != "none":
            limits.add(self.profile.choice_thinking)
        if choice is None:
            return {}
        if "none" in limits:
            if choice != "auto":
                self.ledger.add("dropped", "tool_choice", "the upstream does not take it")
            return {}
        if "auto" in limits and choice != "auto":
            self.ledger.add("changed", "tool_choice", "auto is all that the upstream takes here")
            return {"tool_choice": "auto"}
        if isinstance(choice, Tool):
            return {"tool_choice": {"type": "function", "function": {"name": choice.wire}}}
        return {"tool_choice": self.profile.choice_required if choice == "required" else choice}

    def _parallel(self) -> JsonObject:
        wanted = self.request.parallel_tool_calls
        if wanted is None:
            return {}
        if self.profile.parallel == "send" and self.card.parallel_tool_calls:
            return {"parallel_tool_calls": wanted}
        self.ledger.add("dropped", "parallel_tool_calls", "the upstream does not take it")
        return {}

    def _wanted_choice(self) -> tuple[Mode | Tool | None, list[Tool] | None]:
        """Return the choice (a mode or one tool), and the allowed tools if the request names some."""
        choice = self.request.tool_choice
        if choice is None:
            return None, None
        if isinstance(choice, str):
            return choice, None
        if not isinstance(choice.get("type"), str):
            raise missing_parameter("tool_choice.type")
        if choice["type"] == "allowed_tools":
            return self._allowed(choice)
        tools = self._named(choice)
        if len(tools) == 1:
            return tools[0], None
        if tools:
            return "required", tools
        if choice.get("type") in ("function", "custom"):
            denied = self.table.denies(_name_in(choice), _namespace_in(choice))
            why = "is denied by the gateway's deny_tools" if denied else "not found in 'tools' parameter"
            raise GatewayError(
                f"Tool choice '{_name_in(choice)}' {why}.",
                code="invalid_value",
                param="tool_choice",
            )
        kind = choice["type"]
        if kind not in {tool["type"] for tool in self.table.passed_on}:
            raise GatewayError(
                f"Tool choice '{kind}' cannot be served: no such tool is offered to the model here.",
                code="unsupported_value",
                param="tool_choice",
            )
        self.ledger.add("dropped", "tool_choice", f"{kind} is the upstream's own")
        return "auto", None

    def _allowed(self, choice: JsonObject) -> tuple[Mode | Tool, list[Tool]]:
        inner = _allowed_in(choice)
        named = inner.get("tools")
        if not isinstance(named, list):
            raise missing_parameter("tool_choice.tools")
        allowed: list[Tool] = []
        for position, entry in enumerate(named):
            path = f"tool_choice.tools[{position}]"
            if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
                raise missing_parameter(f"{path}.type")
            found = self._named(entry)
            if not found:
                self._account_missing(entry, path)
            allowed += found
        mode = _mode(inner.get("mode", "auto"))
        return (allowed[0] if len(allowed) == 1 and mode == "required" else mode), allowed

    def _account_missing(self, entry: JsonObject, path: str) -> None:
        """Note an allowed tool that is not offered. Raises GatewayError for one that the client did not declare."""
        kind = entry["type"]
        if kind in ("function", "custom") and not self.table.denies(_name_in(entry), _namespace_in(entry)):
            raise GatewayError(
                f"Allowed tool '{_name_in(entry)}' not found in 'tools' parameter.", code="invalid_value", param=path
            )
        if kind not in {tool["type"] for tool in self.table.passed_on}:
            self.ledger.add("dropped", path, f"this {kind} is not offered to the model here")

    def _named(self, choice: JsonObject) -> list[Tool]:
        """Return the tools that an entry names: one of the client's own, or all that stand for a hosted one."""
        named = self._declared(choice)
        for tool in named:
            # What a client names need not be searched for.
            self.table.load(tool.namespace, tool.name)
        return named

    def _declared(self, choice: JsonObject) -> list[Tool]:
        kind = _KINDS.get(choice.get("type"))
        if kind in ("function", "custom"):
            found = self.table.find(kind, _namespace_in(choice), _name_in(choice))
        else:
            found = self.table.find(kind, None, kind) if kind is not None else None
        return [found] if found is not None else self.table.chosen(choice)


def _mode(value: object) -> Mode:
    match value:
        case "auto" | "none" | "required":
            return value
    raise GatewayError(
        f"Invalid value for 'tool_choice.mode': '{value}'. Supported values: 'none', 'auto', 'required'.",
        code="invalid_value",
        param="tool_choice.mode",
    )


def _allowed_in(choice: JsonObject) -> JsonObject:
    """What `allowed_tools` says, which some clients nest as chat/completions does."""
    inner = choice.get("allowed_tools")
    return inner if isinstance(inner, dict) else choice


def _namespace_in(choice: JsonObject) -> str | None:
    namespace = choice.get("namespace")
    return namespace if isinstance(namespace, str) else None


def _name_in(choice: JsonObject) -> str:
    inner = choice.get("function")
    return str(inner.get("name") if isinstance(inner, dict) else choice.get("name"))
