"""The hosted tool tool_search: finds deferred tools among those that a request declares.

Found tools are offered behind all others, as functions of their own, in the order in which they were found. Nothing
that was offered ever moves: an upstream's prompt cache holds up to the new tools, and from then on for everything. One
function that calls any tool by its name would keep more of the cache, but then no upstream could hold the arguments to
the tool's schema, and many let a model call nothing but what is declared.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

from responses_gateway.hosted.interface import DeclaredTool, RunnableTool, ToolLimits
from responses_gateway.hosted.tool_ranking import ToolIndex
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.protocol.responses import AdditionalTools
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.tools.arguments import parsed_arguments
from responses_gateway.translate.tools.hosted import (
    BegunItem,
    HostedCall,
    HostedFunction,
    HostedResult,
    HostedTool,
    Step,
)
from responses_gateway.translate.tools.names import loose_name
from responses_gateway.upstream.http_client import HttpClient

SEARCH_TYPES = frozenset({"tool_search"})

_FOUND = 8
"""Tools that a search by words finds at most."""

_NAMED = 40
"""Tools that a search by names finds at most."""

_WORDS = 32
"""Words of a query that are looked up as names."""

_FOUND_BYTES = 200_000
"""What the declarations that one search finds may take as JSON: every later request holds them."""

_OVERVIEW = 6_000
"""Characters for what can be searched, in the description of the function."""

_ABOUT = 200
"""Characters of one description in it."""

_LIMITS = ToolLimits(12, 30, "tool searches", "searching for tools")

_DESCRIPTION = (
    "Find and load further functions. Those found can be called afterwards. Give exact names of groups or functions in "
    "`paths`, or say in `query` what a function should do. What can be found:"
)
_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "paths": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Names of groups, of functions, or both, such as crm or crm.get_customer.",
        },
        "query": {"type": "string", "description": "Words for what the functions should do."},
    },
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class _Call:
    """Calls as tool_search_call items."""

    type = "tool_search_call"
    prefix = "tsc"
    arguments_event = None
    events: Mapping[Step, str] = MappingProxyType({})

    def fields(self, name: str, arguments: str, result: HostedResult | None) -> JsonObject:
        """The arguments."""
        fields: JsonObject = {"call_id": None, "execution": "server", "arguments": parsed_arguments(arguments)}
        return {**fields, "status": "incomplete"} if result is not None and result.failed else fields


@dataclass(frozen=True, slots=True)
class _Found:
    """Results as tool_search_output items."""

    type = "tool_search_output"
    prefix = "tso"

    def fields(self, result: HostedResult | None) -> JsonObject:
        """The declarations that were found."""
        details = (result.details if result is not None else None) or {}
        fields: JsonObject = {"call_id": None, "execution": "server", "tools": details.get("tools", [])}
        return {**fields, "status": "incomplete"} if result is not None and result.failed else fields


@dataclass(frozen=True, slots=True)
class _Deferred:
    """A tool that can be found."""

    namespace: str | None
    about: str
    """The description of the namespace."""

    declaration: JsonObject

    @property
    def name(self) -> str:
        return str(self.declaration["name"])


class ToolSearch:
    """The deferred tools of one request."""

    types: Collection[str] = SEARCH_TYPES
    begun: Sequence[BegunItem] = ()
    limits = _LIMITS

    def __init__(self, declared: DeclaredTool) -> None:
        self._ledger = declared.ledger
        self._tools = list(_deferred(declared))
        self._names: _Names | None = None
        if not self._tools:
            self._ledger.add("dropped", "tools.tool_search", "no tool is deferred, and so there is nothing to find")

    def functions(self, _: JsonObject) -> Sequence[HostedFunction]:
        """One function, which says what can be found."""
        if not self._tools:
            return ()
        about = f"{_DESCRIPTION}\n{_overview(self._tools)}"
        return [HostedFunction("tool_search", about, _SCHEMA, _Call(), result=_Found())]

    def chosen(self, _: JsonObject) -> Collection[tuple[str | None, str]]:
        return [(None, "tool_search")]

    def recalled(self, name: str, arguments: JsonObject, text: str) -> HostedResult:
        return self._search(arguments)

    async def run(self, call: HostedCall) -> HostedResult:
        """Search; arguments that say nothing find nothing."""
        return self._search(call.arguments)

    def _search(self, arguments: JsonObject) -> HostedResult:
        paths, query = arguments.get("paths"), arguments.get("query")
        names = paths if isinstance(paths, list) else [paths]
        if self._names is None:
            self._names = _Names(self._tools)
        positions = self._names.find(
            [name for name in names if isinstance(name, str)], query if isinstance(query, str) else ""
        )
        groups: dict[str | None, list[_Deferred]] = {}
        size = 0
        for tool in (self._tools[position] for position in positions):
            more = len(dumps(tool.declaration))
            if size + more > _FOUND_BYTES and groups:
                why = f"{tool.name[:_ABOUT]} was left out: what was found has more than {_FOUND_BYTES} bytes"
                self._ledger.add("capped", "output.tool_search_output.tools", why)
                continue
            size += more
            groups.setdefault(tool.namespace, []).append(tool)
        return HostedResult("", details={"tools": [shown for group in groups.values() for shown in _shown(group)]})


class _Names:
    """Finds tools by their names, by those of their groups, and by words."""

    def __init__(self, tools: Sequence[_Deferred]) -> None:
        self._index = ToolIndex([(tool.namespace or "", tool.about, tool.declaration) for tool in tools])
        self._groups: defaultdict[str, list[int]] = defaultdict(list)
        self._tools: defaultdict[str, list[int]] = defaultdict(list)
        for position, tool in enumerate(tools):
            self._tools[_key(tool.name)].append(position)
            if tool.namespace is not None:
                self._groups[_key(tool.namespace)].append(position)
                self._tools[_key(f"{tool.namespace} {tool.name}")].append(position)

    def find(self, paths: Sequence[str], query: str) -> list[int]:
        """The positions of what is named, and of what matches the words best."""
        named: dict[int, None] = {}
        unknown: list[str] = []
        for name in filter(None, [*paths, query.strip()]):
            key = _key(name)
            found = self._tools.get(key, ()) or self._groups.get(key, ())
            named |= dict.fromkeys(found)
            if not found:
                unknown.append(name)
        for word in query.split()[:_WORDS]:
            named |= dict.fromkeys(self._tools.get(_key(word), ()))
        if len(named) > _NAMED:
            by_words = [position for position in self._index.best(query, _NAMED) if position in named]
            named = dict.fromkeys([*by_words, *named])
        by_words = self._index.best(" ".join(unknown), _FOUND)
        return [*dict.fromkeys([*list(named)[:_NAMED], *by_words])][: max(_FOUND, min(len(named), _NAMED))]


def _key(name: str) -> str:
    """What is the same for all ways to write a name; one in another script has to be written as it is."""
    return loose_name(name) or name.casefold()


def _deferred(declared: DeclaredTool) -> Iterator[_Deferred]:
    """All tools that wait to be found, in the order of their declarations."""
    request = declared.request
    added = [item.tools for item in request.input if isinstance(item, AdditionalTools)]
    for raw in [*(request.tools or ()), *chain.from_iterable(added)]:
        if raw.get("type") == "namespace":
            children = raw.get("tools")
            for child in children if isinstance(children, list) else []:
                if isinstance(child, dict) and (child.get("defer_loading") or raw.get("defer_loading")):
                    yield from _declared(child, _text(raw.get("name")), _text(raw.get("description")))
        elif raw.get("defer_loading"):
            yield from _declared(raw, None, "")
            for function in _hosted(raw, declared.others):
                described = {"description": function.description, "parameters": function.schema}
                shown = {"type": "function", "name": function.name, **described}
                yield from _declared(shown, function.namespace, function.about)


def _declared(raw: JsonObject, namespace: str | None, about: str) -> Iterator[_Deferred]:
    """A function or a custom tool, as clients get it to see."""
    kind = raw.get("type", "function")
    flat = raw["function"] if isinstance(raw.get("function"), dict) else raw
    if kind not in ("function", "custom") or not isinstance(flat.get("name"), str):
        return
    fields = ("description", "format") if kind == "custom" else ("description", "parameters", "strict")
    said = {name: flat[name] for name in fields if flat.get(name) is not None}
    yield _Deferred(namespace, about, {"type": kind, "name": flat["name"], **said, "defer_loading": True})


def _hosted(raw: JsonObject, others: Sequence[HostedTool]) -> Iterator[HostedFunction]:
    """The functions that the gateway's other tools offer for a declaration."""
    for tool in others:
        if raw.get("type") in tool.types:
            yield from tool.functions(raw)


def _shown(group: Sequence[_Deferred]) -> list[JsonObject]:
    """Found tools of one namespace as declarations."""
    declarations = [tool.declaration for tool in group]
    if group[0].namespace is None:
        return declarations
    about = {"description": group[0].about or f"The functions of {group[0].namespace}."}
    return [{"type": "namespace", "name": group[0].namespace, **about, "tools": declarations}]


def _overview(tools: Sequence[_Deferred]) -> str:
    """The groups and what they say of themselves, and the functions that belong to none, up to a limit."""
    groups = {tool.namespace: tool.about for tool in tools if tool.namespace is not None}
    single = [tool for tool in tools if tool.namespace is None]
    lines: list[str] = []
    size = 0
    for line in chain(
        (_line(f"{name} (group)", about) for name, about in groups.items()),
        (_line(tool.name, _text(tool.declaration.get("description"))) for tool in single),
    ):
        size += len(line) + 1
        if size > _OVERVIEW:
            lines.append(f"- {len(groups) + len(single) - len(lines)} more, which only a query finds")
            break
        lines.append(line)
    return "\n".join(lines)


def _line(name: str, about: str) -> str:
    about = " ".join(about[:_ABOUT].split()) + ("…" if len(about) > _ABOUT else "")
    return f"- {name}: {about}" if about else f"- {name}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class ToolSearchService:
    """Opens tool_search for responses."""

    async def open(self, declared: DeclaredTool) -> RunnableTool:
        return ToolSearch(declared)

    async def close(self) -> None:
        """Nothing is open."""


class ToolSearchKind:
    """tool_search, which needs nothing but the request."""

    types: Collection[str] = SEARCH_TYPES

    def service(self, settings: Settings, http: HttpClient) -> ToolSearchService:
        return ToolSearchService()

    def recorded(self, declared: DeclaredTool) -> HostedTool:
        return ToolSearch(declared)


TOOL_SEARCH = ToolSearchKind()
