"""Reads declarations of web_search, and says which functions stand for them and what clients see of their calls."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.arguments import parsed_arguments
from responses_gateway.translate.tools.hosted import HostedFunction, HostedResult, Source, Step

WEB_SEARCH_TYPES = frozenset(
    {"web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"}
)
"""The `type` of the tool, in all its versions."""

type ContextSize = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Location:
    """Where the user is, as far as the client says. `country` is a two-letter ISO code, `timezone` an IANA name."""

    city: str = ""
    region: str = ""
    country: str = ""
    timezone: str = ""

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.city, self.region, self.country, self.timezone)))


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """The options in one request's declaration of the tool. Domains are lower case and include their subdomains."""

    allowed_domains: Sequence[str] = ()
    blocked_domains: Sequence[str] = ()
    location: Location | None = None
    context_size: ContextSize = "medium"
    open_pages: bool = True
    """False when the client allows an index, but no live access to the web."""


def search_settings(declaration: JsonObject, ledger: Ledger) -> SearchSettings:
    """Read the options in `declaration`; those that are not supported go into the Ledger."""
    filters = declaration.get("filters")
    filters = filters if isinstance(filters, dict) else {}
    size = declaration.get("search_context_size")
    types = declaration.get("search_content_types")
    if isinstance(types, list) and any(kind != "text" for kind in types):
        ledger.add("dropped", "tools.web_search.search_content_types", "only text is searched for")
    live = declaration.get("external_web_access") is not False
    if not live:
        why = "false: searches only, no page is opened"
        ledger.add("changed", "tools.web_search.external_web_access", why, loss=False)
    return SearchSettings(
        allowed_domains=_domains(filters.get("allowed_domains")),
        blocked_domains=_domains(filters.get("blocked_domains")),
        location=_location(declaration.get("user_location")),
        context_size=size if size in ("low", "medium", "high") else "medium",
        open_pages=live,
    )


@dataclass(frozen=True, slots=True)
class SearchForm:
    """Searches and opened pages as web_search_call items; `with_sources`: they list what was found."""

    with_sources: bool = False
    type = "web_search_call"
    prefix = "ws"
    arguments_event = None
    events: Mapping[Step, str] = MappingProxyType(
        {
            "opened": "response.web_search_call.in_progress",
            "started": "response.web_search_call.searching",
            "completed": "response.web_search_call.completed",
        }
    )

    def fields(self, name: str, arguments: str, result: HostedResult | None) -> JsonObject:
        """The item's `action`."""
        sources = result.sources if result is not None and self.with_sources else None
        return {"action": action(name, parsed_arguments(arguments), sources)}


def search_functions(settings: SearchSettings, form: SearchForm) -> list[HostedFunction]:
    """Make the functions that stand for the tool. Their text is the same for the same declaration."""
    purpose = (
        "Search the web. Use it for what is recent or what you are not sure of. "
        "Cite what you use from results as Markdown links, [title](URL), with the URLs as given."
    )
    if settings.location and str(settings.location):
        purpose += f" The user's approximate location: {settings.location}."
    if settings.allowed_domains:
        purpose += f" Only these domains are searched: {', '.join(settings.allowed_domains)}."
    functions = [HostedFunction("web_search", purpose, _schema(query="What to search for."), form)]
    if settings.open_pages:
        functions += [
            HostedFunction(
                "open_page",
                "Read a web page, such as one that web_search found.",
                _schema(url="The page's URL."),
                form,
            ),
            HostedFunction(
                "find_in_page",
                "Find a text in a web page, with what stands around it; letter case does not matter.",
                _schema(url="The page's URL.", pattern="The text to find, literally."),
                form,
            ),
        ]
    return functions


def action(name: str, arguments: JsonObject, sources: Iterable[Source] | None = None) -> JsonObject:
    """The `action` of a web_search_call item. `sources` are those to tell the client; None when it wants none."""
    match name:
        case "open_page":
            return {"type": "open_page", "url": _text(arguments, "url")}
        case "find_in_page":
            return {"type": "find_in_page", "url": _text(arguments, "url"), "pattern": _text(arguments, "pattern")}
        case _:
            query = _text(arguments, "query")
            search: JsonObject = {"type": "search", "query": query, "queries": [query] if query else []}
            if sources is not None:
                search["sources"] = [{"type": "url", "url": source.url} for source in sources]
            return search


def _schema(**properties: str) -> JsonObject:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": what} for name, what in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


def _text(arguments: JsonObject, name: str) -> str:
    value = arguments.get(name)
    return value if isinstance(value, str) else ""


def _domains(value: object) -> tuple[str, ...]:
    """Bare domains, whatever was written around them."""
    if not isinstance(value, list):
        return ()
    names = (entry.split("//")[-1].split("/")[0].lower().strip(".") for entry in value if isinstance(entry, str))
    return tuple(dict.fromkeys(name for name in names if name))


def _location(value: object) -> Location | None:
    if not isinstance(value, dict):
        return None
    # web_search_preview has the same fields; older clients nest them.
    fields = value["approximate"] if isinstance(value.get("approximate"), dict) else value
    found = Location(*(_text(fields, name).strip() for name in ("city", "region", "country", "timezone")))
    return found if str(found) else None
