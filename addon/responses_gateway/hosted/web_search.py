"""The hosted tool web_search: carries out the web_search, open_page and find_in_page calls of one response."""

import asyncio
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from responses_gateway.hosted.interface import DeclaredTool, HostedError, RunnableTool, ToolLimits
from responses_gateway.hosted.pages import PageFetcher
from responses_gateway.hosted.search_declaration import (
    WEB_SEARCH_TYPES,
    ContextSize,
    SearchForm,
    search_functions,
    search_settings,
)
from responses_gateway.hosted.search_engines import SearchEngine, SearchQuery, SearchResult, search_engine
from responses_gateway.protocol.json import JsonObject
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import (
    BegunItem,
    HostedCall,
    HostedFunction,
    HostedResult,
    HostedTool,
    Source,
)
from responses_gateway.upstream.http_client import HttpClient

_PAGE_CHARACTERS: dict[ContextSize, int] = {"low": 6_000, "medium": 12_000, "high": 30_000}
_SNIPPET_CHARACTERS: dict[ContextSize, int] = {"low": 300, "medium": 600, "high": 1_500}
_RESULTS_FACTOR: dict[ContextSize, float] = {"low": 0.6, "medium": 1, "high": 2}
"""How much of the results the model reads, by `search_context_size`."""

_MATCHES = 10
_AROUND = 300
"""Characters before and after a match."""

_LEDGER_FIELD = "output.web_search_call"
_SOURCES = "web_search_call.action.sources"
"""A value of the request's `include`."""

_FOUND = re.compile(r"^\[\d+\] (.*)\n(\S+)$", re.MULTILINE)
"""The first two lines of each result, as the model reads them."""

_SPARE_SECONDS = 5
"""A search and a page have time limits of their own, which say what did not answer."""


@dataclass(frozen=True)
class SearchServices:
    """What searches are carried out with. `results` is their number for a medium context; `timeout` is in seconds."""

    engine: SearchEngine
    pages: PageFetcher
    results: int
    rounds: int
    timeout: float


class DeclaredSearch:
    """web_search as one request declares it."""

    types: Collection[str] = WEB_SEARCH_TYPES
    begun: Sequence[BegunItem] = ()

    def __init__(self, declared: DeclaredTool) -> None:
        self._ledger: Ledger = declared.ledger
        self._settings = search_settings(declared.declarations[0].value, declared.ledger)
        form = SearchForm(with_sources=_SOURCES in (declared.request.include or ()))
        self._functions = search_functions(self._settings, form)
        self._sources: list[Source] = []

    def functions(self, _: JsonObject) -> Sequence[HostedFunction]:
        """The same for every declaration: the first one counts."""
        return self._functions

    def chosen(self, _: JsonObject) -> Collection[tuple[str | None, str]]:
        return [(None, "web_search")]

    def recalled(self, name: str, arguments: JsonObject, text: str) -> HostedResult:
        if name != "web_search":
            return HostedResult(text, [self._source(str(arguments.get("url", "")).strip())])
        sources = [Source(url, title) for title, url in _FOUND.findall(text)]
        for source in sources:
            self._number(source)
        return HostedResult(text, sources)

    def _source(self, url: str) -> Source:
        """The source of a page; the title that a search gave it, if one did."""
        source = next((source for source in self._sources if source.url == url), Source(url, url))
        self._number(source)
        return source

    def _number(self, source: Source) -> int:
        if source not in self._sources:
            self._sources.append(source)
        return self._sources.index(source) + 1


class WebSearch(DeclaredSearch):
    """The searches of one response, and what they found so far."""

    def __init__(self, services: SearchServices, declared: DeclaredTool) -> None:
        super().__init__(declared)
        self._services = services
        self.limits = ToolLimits(services.rounds, services.timeout + _SPARE_SECONDS, "searches", "searching")
        self._pages: dict[str, tuple[str, bool]] = {}
        self._under_way: list[asyncio.Event] = []
        """For each call that is under way, in their order; set when it ends."""

    async def run(self, call: HostedCall) -> HostedResult:
        """Carry out one call. Sources are numbered in the order of the calls, whichever comes first."""
        earlier, ended = tuple(self._under_way), asyncio.Event()
        self._under_way.append(ended)
        try:
            told = await self._dispatch(call)
            for other in earlier:
                await other.wait()
            return told()
        except TimeoutError:
            raise HostedError(f"no answer within {self._services.timeout:g} seconds") from None
        except OSError as error:
            raise HostedError(f"{self._services.engine.name} cannot be reached: {error}") from None
        finally:
            self._under_way.remove(ended)
            ended.set()

    async def _dispatch(self, call: HostedCall) -> Callable[[], HostedResult]:
        needed = {"web_search": ("query",), "open_page": ("url",), "find_in_page": ("url", "pattern")}[call.name]
        values = [call.arguments.get(name) for name in needed]
        given = [value.strip() for value in values if isinstance(value, str) and value.strip()]
        if len(given) != len(needed):
            raise HostedError(f"it needs {' and '.join(needed)}")
        match call.name:
            case "web_search":
                return await self._search(given[0])
            case "open_page":
                return await self._open(given[0])
            case _:
                return await self._find(*given)

    async def _search(self, query: str) -> Callable[[], HostedResult]:
        settings, size = self._settings, self._settings.context_size
        wanted = SearchQuery(
            query,
            max(1, round(self._services.results * _RESULTS_FACTOR[size])),
            settings.allowed_domains,
            settings.blocked_domains,
            settings.location,
            thorough=size == "high",
        )
        async with asyncio.timeout(self._services.timeout):
            results = await self._services.engine.search(wanted)
        return partial(self._told, results)

    def _told(self, results: Sequence[SearchResult]) -> HostedResult:
        size = self._settings.context_size
        if not results:
            return HostedResult("Nothing was found.")
        sources = [Source(result.url, result.title) for result in results]
        blocks = [
            f"[{self._number(source)}] {result.title}\n{result.url}\n{result.snippet[: _SNIPPET_CHARACTERS[size]]}"
            for source, result in zip(sources, results, strict=True)
        ]
        return HostedResult("\n\n".join(blocks), sources)

    async def _open(self, url: str) -> Callable[[], HostedResult]:
        text, whole = await self._page(url)
        limit = _PAGE_CHARACTERS[self._settings.context_size]
        if len(text) > limit or not whole:
            self._ledger.add("capped", _LEDGER_FIELD, f"a page is longer than the model gets to read: {url}")
            text = f"{text[:limit]}\n[The page goes on. Use find_in_page for the rest of it.]"
        return partial(self._of_page, text or "The page has no text.", url)

    def _of_page(self, text: str, url: str) -> HostedResult:
        return HostedResult(text, [self._source(url)])

    async def _find(self, url: str, pattern: str) -> Callable[[], HostedResult]:
        text, _ = await self._page(url)
        low, wanted = text.lower(), pattern.lower()
        passages: list[str] = []
        end = 0
        at = low.find(wanted)
        while at >= 0 and len(passages) < _MATCHES:
            end = min(len(text), at + len(wanted) + _AROUND)
            passages.append(text[max(0, at - _AROUND) : end])
            at = low.find(wanted, end)
        return partial(self._of_page, "\n…\n".join(passages) or f"The page does not contain {pattern!r}.", url)

    async def _page(self, url: str) -> tuple[str, bool]:
        if not self._settings.open_pages:
            raise HostedError("the client does not allow pages to be opened")
        if url not in self._pages:
            settings = self._settings
            self._pages[url] = await self._services.pages.fetch(url, settings.allowed_domains, settings.blocked_domains)
        return self._pages[url]


@dataclass(frozen=True, slots=True)
class SearchService:
    """Opens web_search for responses."""

    services: SearchServices

    async def open(self, declared: DeclaredTool) -> RunnableTool:
        return WebSearch(self.services, declared)

    async def close(self) -> None:
        """The HTTP client is everybody's."""


class WebSearchKind:
    """web_search, with the engine that the settings name."""

    types: Collection[str] = WEB_SEARCH_TYPES

    def service(self, settings: Settings, http: HttpClient) -> SearchService | None:
        engine = search_engine(settings, http)
        if engine is None:
            return None
        pages = PageFetcher(settings.search_private_hosts, timeout=settings.search_timeout)
        return SearchService(
            SearchServices(engine, pages, settings.search_results, settings.search_rounds, settings.search_timeout)
        )

    def recorded(self, declared: DeclaredTool) -> HostedTool:
        return DeclaredSearch(declared)


WEB_SEARCH = WebSearchKind()
