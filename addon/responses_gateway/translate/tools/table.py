"""The table of a request's tools: it maps the client's declarations to chat functions, and calls back to declarations.

Each request has a ToolTable of its own. Only the table knows which wire name stands for which declaration; no other
code derives that from names.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from responses_gateway.catalogue.providers.profile import ToolsProfile
from responses_gateway.protocol.chat import ChatTool
from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.command_tools import NAMES as COMMAND_TOOLS
from responses_gateway.translate.tools.command_tools import command_field
from responses_gateway.translate.tools.computer import computer_description, computer_schema
from responses_gateway.translate.tools.declarations import (
    APPLY_PATCH_SCHEMA,
    LOCAL_SHELL_SCHEMA,
    SHELL_SCHEMA,
    TOOL_SEARCH_SCHEMA,
    check_function,
    custom_description,
    declared_name,
    input_schema,
    missing_parameter,
    object_schema,
    shell_description,
    text_or_empty,
)
from responses_gateway.translate.tools.declared_fields import account
from responses_gateway.translate.tools.declared_tool import Hosted, Kind, Tool
from responses_gateway.translate.tools.hosted import HostedTool
from responses_gateway.translate.tools.names import flat_name, hashed_name, loose_name
from responses_gateway.translate.tools.rules import NO_RULES, DeniedCall, ToolRules
from responses_gateway.translate.tools.schema import dialect

ABOUT_LIMIT = 4000
"""The most characters of a namespace's description that are sent with every request: some MCP servers send a lot."""

_DEFERRABLE: tuple[Kind, ...] = ("function", "custom", "hosted")

_DEFAULT_NAMESPACE = "functions"
"""Codex takes calls of plain functions with this namespace, and calls of this namespace without it."""

_SERVER_ENVIRONMENTS = ("container_auto", "container_reference")
"""Where a declared shell runs its commands, when the client has none itself."""


@dataclass(slots=True)
class ToolTable:
    """The tools of one request, in the order in which the upstream gets them."""

    ledger: Ledger
    _by_wire: dict[str, Tool] = field(default_factory=dict)
    _offered: dict[str, None] = field(default_factory=dict)
    """The wire names of the tools that are not deferred, in their order."""

    _by_identity: dict[tuple[str, str | None, str], Tool] = field(default_factory=dict)
    _loose: dict[str, Tool | None] | None = None
    _about: dict[str, str] = field(default_factory=dict)
    """Descriptions of namespaces, by name."""

    _untold: dict[str, str] = field(default_factory=dict)
    """Descriptions of namespaces that no function carries yet."""

    _waiting: dict[str, int] = field(default_factory=dict)
    """How many tools of each namespace are deferred."""

    hosted: Sequence[HostedTool] = ()
    """What the gateway can carry out itself."""

    defers: bool = field(init=False)
    """Whether tools can wait until a search of the gateway's finds them."""

    rules: ToolRules = NO_RULES
    passed_on: list[JsonObject] = field(default_factory=list)
    """Declarations that go to the upstream as they are."""

    _denied: set[str] = field(default_factory=set)
    """Loose names of the declared tools that the rules deny."""

    declared: int = 0
    """The number of declared tools; those inside of namespaces are counted one by one."""

    def __post_init__(self) -> None:
        self.defers = self._hosted("tool_search") is not None and not self.rules.passes_on("tool_search")

    def declare(self, tools: Iterable[JsonObject], path: str) -> None:
        """Add declarations found at `path` of the request. Raises GatewayError for a tool without a usable name."""
        for position, tool in enumerate(tools):
            self._declare_one(tool, f"{path}[{position}]", None)

    def _declare_one(self, raw: JsonObject, path: str, namespace: JsonObject | None) -> None:
        kind = raw.get("type", "function" if "name" in raw else None)
        later = self.defers and bool(raw.get("defer_loading") or (namespace or {}).get("defer_loading"))
        if kind == "namespace" and namespace is None:
            children = raw.get("tools")
            name = declared_name(raw, path)
            account(raw, self.ledger, defers=self.defers)
            self._describe(name, text_or_empty(raw.get("description")).strip())
            for position, child in enumerate(children if isinstance(children, list) else []):
                if isinstance(child, dict):
                    self._declare_one(child, f"{path}.tools[{position}]", {**raw, "name": name})
            if not self._waits(name) and self._untold.pop(name, ""):
                self.ledger.add("dropped", f"tools.{name}.description", "no new function of it was declared")
            return
        self.declared += 1
        inside = namespace["name"] if namespace else None
        if self._is_denied(raw, kind, inside):
            return
        if self.rules.passes_on(kind):
            self.passed_on.append(raw)
            return
        account(raw, self.ledger, defers=self.defers)
        match kind:
            case "function":
                flat = raw["function"] if isinstance(raw.get("function"), dict) else raw
                check_function(flat, path)
                self._add(
                    "function",
                    inside,
                    declared_name(flat, path),
                    object_schema(flat.get("parameters")),
                    text_or_empty(flat.get("description")),
                    flat.get("strict"),
                    later=later,
                )
            case "custom":
                name = declared_name(raw, path)
                self._add("custom", inside, name, input_schema(raw), custom_description(raw), later=later)
            case "tool_search" if raw.get("execution") == "client":
                schema = raw.get("parameters")
                self._add(
                    "tool_search",
                    None,
                    "tool_search",
                    object_schema(schema) if schema else TOOL_SEARCH_SCHEMA,
                    text_or_empty(raw.get("description"))
                    or "Search for further tools. Those found can be called afterwards.",
                )
            case "local_shell":
                self._add(
                    "local_shell", None, "local_shell", LOCAL_SHELL_SCHEMA, "Run a program on the user's machine."
                )
            case "shell":
                place = raw.get("environment")
                if isinstance(place, dict) and place.get("type") in _SERVER_ENVIRONMENTS:
                    self.ledger.add("dropped", f"tools.{kind}", f"no chat upstream has such a {place['type']}")
                    return
                self._add("shell", None, "shell", SHELL_SCHEMA, shell_description(place))
            case "apply_patch":
                self._add("apply_patch", None, "apply_patch", APPLY_PATCH_SCHEMA, "Create, update or delete one file.")
            case "computer" | "computer_use_preview":
                self._add("computer", None, "computer", computer_schema(raw), computer_description(raw))
            case str() if tool := self._hosted(kind):
                for function in tool.functions(raw):
                    if self._is_denied({"name": function.name}, "function", function.namespace):
                        continue
                    self._describe(function.namespace or "", function.about)
                    self._add(
                        "hosted",
                        function.namespace,
                        function.name,
                        object_schema(function.schema),
                        function.description,
                        hosted=Hosted(tool, function),
                        later=later,
                    )
            case _:
                if not isinstance(kind, str):
                    raise missing_parameter(f"{path}.type")
                self.ledger.add("dropped", f"tools.{kind}", "no chat upstream runs this hosted tool")

    def _is_denied(self, raw: JsonObject, kind: object, namespace: str | None) -> bool:
        """Whether the rules deny a declaration, which is noted."""
        inner = raw["function"] if isinstance(raw.get("function"), dict) else raw
        name = text_or_empty(inner.get("name"))
        wire = flat_name(namespace, name) if name else text_or_empty(kind)
        typed = None if kind in ("function", "custom") else text_or_empty(kind)
        if not self.rules.denies(name, wire, namespace, typed):
            return False
        self.ledger.add("dropped", f"tools.{wire}", "deny_tools forbids it")
        self._denied |= {loose_name(name or wire), loose_name(wire), loose_name(f"{_DEFAULT_NAMESPACE} {wire}")}
        return True

    def denies(self, name: str, namespace: str | None = None) -> bool:
        """Whether a tool that is called by this name is one that the rules deny."""
        wire = flat_name(namespace, name)
        return self.rules.denies(name, wire, namespace) or loose_name(f"{namespace or ''} {name}") in self._denied

    def require_allowed(self, wire: str) -> None:
        """Raise DeniedCall for the name of a call that the rules deny. The beginning of a name is no such name."""
        if self.rules.deny and wire and wire not in self._by_wire and self.denies(wire):
            raise DeniedCall(wire)

    def _hosted(self, kind: object) -> HostedTool | None:
        return next((tool for tool in self.hosted if isinstance(kind, str) and kind in tool.types), None)

    def _describe(self, namespace: str, about: str) -> None:
        """Let the next new function of a namespace carry the namespace's description, once."""
        if not about or self._about.get(namespace) == about:
            return
        self._about[namespace] = about
        if len(about) > ABOUT_LIMIT:
            about = f"{about[:ABOUT_LIMIT]}…"
            self.ledger.add("changed", f"tools.{namespace}.description", f"cut to {ABOUT_LIMIT} characters")
        self._untold[namespace] = about

    def _add(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        schema: JsonObject,
        description: str,
        strict: bool | None = None,
        hosted: Hosted | None = None,
        later: bool = False,
    ) -> None:
        identity = (kind, namespace, name)
        if known := self._by_identity.get(identity):
            if (known.schema, known.description) != (schema, description):
                self.ledger.add(
                    "dropped", f"tools.{known.wire}", "declared again with another content; the first stays"
                )
            else:
                self.ledger.add("dropped", f"tools.{known.wire}", "declared twice", loss=False)
            return
        wire = wanted = flat_name(namespace, name)
        salt = "\0".join((kind, namespace or "", name))
        while wire in self._by_wire:
            wire, salt = hashed_name(wanted, salt), f"{salt}\0"
        if wire != (f"{namespace}__{name}" if namespace else name):
            self.ledger.add("renamed", f"tools.{wire}", f"stands for {'.'.join(filter(None, (namespace, name)))}")
        tool = Tool(kind, namespace, name, wire, schema, description, strict, "", hosted, later)
        self._by_wire[wire] = self._by_identity[identity] = tool
        self._loose = None
        if later:
            self._waiting[namespace or ""] = self._waiting.get(namespace or "", 0) + 1
        else:
            self._offer(tool)

    # Deferred tools ---------------------------------------------------------------------------------------------------

    def load(self, namespace: str | None, name: str) -> None:
        """Offer a deferred tool from here on, behind all others: where it is, it stays."""
        for kind in _DEFERRABLE:
            tool = self._called_by_client(kind, namespace, name)
            if tool is not None and tool.wire not in self._offered:
                self._waiting[tool.namespace or ""] -= 1
                self._offer(tool)

    def _called_by_client(self, kind: Kind, namespace: str | None, name: str) -> Tool | None:
        """Find a tool by what stands in the item of its call."""
        tool = self._by_identity.get((kind, namespace, name))
        return self._by_identity.get((kind, None, name)) if tool is None and namespace == name else tool

    def load_found(self, found: Iterable[JsonObject]) -> None:
        """Offer what a search has found. What is not declared any more stays away."""
        for tool in found:
            children = tool.get("tools") if tool.get("type") == "namespace" else None
            namespace = text_or_empty(tool.get("name")) if children is not None else None
            for child in children if isinstance(children, list) else [tool]:
                if isinstance(child, dict):
                    self.load(namespace, text_or_empty(child.get("name")))

    def _waits(self, namespace: str) -> bool:
        """Whether a tool of the namespace is deferred."""
        return self._waiting.get(namespace, 0) > 0

    def _offer(self, tool: Tool) -> None:
        if tool.namespace and (about := self._untold.pop(tool.namespace, "")):
            tool = replace(tool, about=about)
            self._by_wire[tool.wire] = self._by_identity[tool.identity] = tool
        self._offered[tool.wire] = None

    def __len__(self) -> int:
        return len(self._offered)

    def __iter__(self) -> Iterator[Tool]:
        return (self._by_wire[wire] for wire in self._offered)

    @property
    def wire_names(self) -> frozenset[str]:
        return frozenset(self._by_wire)

    def wire_name(self, kind: Kind, namespace: str | None, name: str) -> str:
        """Return the wire name for a call in the history. An undeclared tool gets the name it would have."""
        tool = self._called_by_client(kind, namespace, name) or self._by_identity.get(("hosted", namespace, name))
        if tool is None and namespace in (None, _DEFAULT_NAMESPACE):
            other = _DEFAULT_NAMESPACE if namespace is None else None
            tool = self._by_identity.get((kind, other, name))
        return tool.wire if tool else flat_name(namespace, name)

    def find(self, kind: Kind | None, namespace: str | None, name: str) -> Tool | None:
        """Find a declaration by the client's own names, as in tool_choice; `kind` None takes any kind."""
        if kind is not None:
            return self._by_identity.get((kind, namespace, name))
        return next((tool for tool in self._by_wire.values() if (tool.namespace, tool.name) == (namespace, name)), None)

    def chosen(self, choice: JsonObject) -> list[Tool]:
        """Find the functions that a tool_choice for a hosted tool stands for."""
        tool = self._hosted(choice.get("type"))
        names = tool.chosen(choice) if tool is not None else ()
        return [found for name in names if (found := self._by_identity.get(("hosted", *name)))]

    def called(self, wire: str) -> Tool:
        """Find the declaration that a model meant by `wire`.

        Models use the bare name, a dot or another separator; such a name is accepted when it is unambiguous. An
        unknown name is passed on as a plain function: the client itself reports it to the model. Raises DeniedCall.
        """
        if tool := self._by_wire.get(wire):
            return tool
        self.require_allowed(wire)
        if tool := self._loosely(wire) or self._runs_commands(wire):
            self.ledger.add("repaired", f"output.{wire}", f"the model meant {tool.wire}")
            return tool
        if self._by_wire:
            self.ledger.add("repaired", f"output.{wire}", "no tool of this name was offered; passed on as it is")
        return Tool("function", None, wire, wire, {})

    def _loosely(self, wire: str) -> Tool | None:
        if self._loose is None:
            self._loose = {}
            for tool in self._by_wire.values():
                whole = f"{tool.namespace or ''} {tool.name}"
                for key in {loose_name(tool.name), loose_name(whole), loose_name(f"functions {whole}")}:
                    self._loose[key] = None if key in self._loose else tool
        return self._loose.get(loose_name(wire))

    def _runs_commands(self, wire: str) -> Tool | None:
        """Find the one tool for command lines, if it was called by the name that such a tool has elsewhere."""
        if wire not in COMMAND_TOOLS:
            return None
        found = [tool for tool in self if tool.namespace is None and command_field(tool.name, tool.schema)]
        return found[0] if len(found) == 1 else None

    def render(self, profile: ToolsProfile, allowed: Collection[str] | None = None) -> list[ChatTool]:
        """Render the `tools` of the chat request; only those whose wire name is `allowed`, if that is given.

        The description of a namespace stands before that of its first function: always in the same place, so that
        prompt caches hold, and only once.
        """
        rendered, untold = [], dict[str | None, str]()
        for tool in self:
            if tool.about:
                untold[tool.namespace] = tool.about
            if allowed is None or tool.wire in allowed:
                rendered.append(self._render_one(tool, profile, untold.pop(tool.namespace, "")))
        return rendered

    def _render_one(self, tool: Tool, profile: ToolsProfile, about: str) -> ChatTool:
        parameters = dialect(tool.schema, profile)
        if parameters != tool.schema:
            why = "in the schema dialect of the upstream"
            self.ledger.add("changed", f"tools.{tool.wire}.parameters", why, loss=False)
        rendered: ChatTool = {"type": "function", "function": {"name": tool.wire, "parameters": parameters}}
        if about:
            about = f"About all functions of {tool.namespace}: {about}"
        if description := "\n\n".join(filter(None, (about, tool.description))):
            rendered["function"]["description"] = description
        if tool.strict is not None:
            if profile.strict == "keep":
                rendered["function"]["strict"] = tool.strict
            elif tool.strict:
                self.ledger.add("dropped", f"tools.{tool.wire}.strict", "the upstream does not take it")
        return rendered
