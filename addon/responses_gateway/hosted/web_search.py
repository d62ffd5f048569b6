"""Carries out the web_search, open_page and find_in_page calls of one response."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from responses_gateway.hosted.pages import PageFetcher
from responses_gateway.hosted.search_engines import SearchEngine, SearchError, SearchQuery, search_engine
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.web_search import (
    ContextSize,
    SearchCall,
    SearchCallResult,
    SearchSettings,
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

_EXTRA_ROUNDS = 1
"""Rounds in which a model may answer after it was told not to search any more."""

_LEDGER_FIELD = "output.web_search_call"


@dataclass(frozen=True)
class SearchServices:
    """What searches are carried out with. `results` is their number for a medium context; `timeout` is in seconds."""

    engine: SearchEngine
    pages: PageFetcher
    results: int
    rounds: int
    timeout: float


def search_services(settings: Settings, http: HttpClient) -> SearchServices | None:
    """The services that the settings name; None without a search engine. Raises SettingsError."""
    engine = search_engine(settings, http)
    if engine is None:
        return None
    pages = PageFetcher(settings.search_private_hosts, timeout=settings.search_timeout)
    return SearchServices(engine, pages, settings.search_results, settings.search_rounds, settings.search_timeout)


class Searches(Protocol):
    """Carries out the searches of one response."""

    @property
    def exhausted(self) -> bool:
        """Whether the model goes on calling although it was told to answer."""

    def begin_round(self) -> None:
        """The calls of another upstream round follow."""

    async def run(self, call: SearchCall) -> SearchCallResult:
        """Carry out one call."""


class WebSearch:
    """The searches of one response: what they found so far, and how many more there may be."""

    def __init__(
        self, services: SearchServices, settings: SearchSettings, ledger: Ledger, max_calls: int | None = None
    ) -> None:
        self._settings = settings
        self._services = services
        self._ledger = ledger
        self._calls_left = max_calls
        self._rounds = 0
        self._sources: list[Source] = []
        self._pages: dict[str, tuple[str, bool]] = {}

    def begin_round(self) -> None:
        """The calls of another upstream round follow."""
        self._rounds += 1

    @property
    def exhausted(self) -> bool:
        """Whether the model goes on calling although it was told to answer."""
        return self._rounds > self._services.rounds + _EXTRA_ROUNDS

    async def run(self, call: SearchCall) -> SearchCallResult:
        """Carry out one call. What fails is told to the model and to the Ledger."""
        if self._rounds > self._services.rounds or self._calls_left == 0:
            self._ledger.add("capped", _LEDGER_FIELD, "the limit of searches is reached; the model was told to answer")
            return SearchCallResult("The limit of searches is reached. Answer with what you have.", failed=True)
        if self._calls_left is not None:
            self._calls_left -= 1
        try:
            return await self._dispatch(call)
        except SearchError as error:
            fault = str(error)
        except TimeoutError as error:
            fault = str(error) or f"no answer within {self._services.timeout:g} seconds"
        except OSError as error:
            fault = f"{self._services.engine.name} cannot be reached: {error}"
        self._ledger.add("dropped", _LEDGER_FIELD, f"{call.name} failed: {fault}")
        return SearchCallResult(f"{call.name} failed: {fault}. Go on without it, or try something else.", failed=True)

    async def _dispatch(self, call: SearchCall) -> SearchCallResult:
        needed = {"web_search": ("query",), "open_page": ("url",), "find_in_page": ("url", "pattern")}[call.name]
        values = [call.arguments.get(name) for name in needed]
        given = [value.strip() for value in values if isinstance(value, str) and value.strip()]
        if len(given) != len(needed):
            raise SearchError(f"it needs {' and '.join(needed)}")
        match call.name:
            case "web_search":
                return await self._search(given[0])
            case "open_page":
                return await self._open(given[0])
            case _:
                return await self._find(*given)

    async def _search(self, query: str) -> SearchCallResult:
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
        if not results:
            return SearchCallResult("Nothing was found.")
        sources = [Source(result.url, result.title) for result in results]
        blocks = [
            f"[{self._number(source)}] {result.title}\n{result.url}\n{result.snippet[: _SNIPPET_CHARACTERS[size]]}"
            for source, result in zip(sources, results, strict=True)
        ]
        return SearchCallResult("\n\n".join(blocks), sources)

    async def _open(self, url: str) -> SearchCallResult:
        text, whole = await self._page(url)
        limit = _PAGE_CHARACTERS[self._settings.context_size]
        if len(text) > limit or not whole:
            self._ledger.add("capped", _LEDGER_FIELD, f"a page is longer than the model gets to read: {url}")
            text = f"{text[:limit]}\n[The page goes on. Use find_in_page for the rest of it.]"
        return SearchCallResult(text or "The page has no text.", [self._source(url)])

    async def _find(self, url: str, pattern: str) -> SearchCallResult:
        text, _ = await self._page(url)
        low, wanted = text.lower(), pattern.lower()
        passages: list[str] = []
        end = 0
        at = low.find(wanted)
        while at >= 0 and len(passages) < _MATCHES:
            end = min(len(text), at + len(wanted) + _AROUND)
            passages.append(text[max(0, at - _AROUND) : end])
            at = low.find(wanted, end)
        return SearchCallResult(
            "\n…\n".join(passages) or f"The page does not contain {pattern!r}.", [self._source(url)]
        )

    async def _page(self, url: str) -> tuple[str, bool]:
        if not self._settings.open_pages:
            raise SearchError("the client does not allow pages to be opened")
        if url not in self._pages:
            settings = self._settings
            self._pages[url] = await self._services.pages.fetch(url, settings.allowed_domains, settings.blocked_domains)
        return self._pages[url]

    def _source(self, url: str) -> Source:
        """The source of a page; the title that a search gave it, if one did."""
        source = next((source for source in self._sources if source.url == url), Source(url, url))
        self._number(source)
        return source

    def _number(self, source: Source) -> int:
        if source not in self._sources:
            self._sources.append(source)
        return self._sources.index(source) + 1
