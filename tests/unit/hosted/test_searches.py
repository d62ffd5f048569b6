"""Searches that are carried out at the same time."""

import asyncio

from responses_gateway.hosted.calls import HostedCalls
from responses_gateway.hosted.interface import Declaration, DeclaredTool
from responses_gateway.hosted.pages import PageFetcher
from responses_gateway.hosted.search_engines import SearchQuery, SearchResult
from responses_gateway.hosted.web_search import SearchServices, WebSearch
from responses_gateway.protocol.responses import parse_request
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import HostedCall

WORDS = ("slow", "broken", "quick")


class Engine:
    """The first search ends last."""

    name = "an engine"

    def __init__(self) -> None:
        self._others = 0
        self._last = asyncio.Event()

    async def search(self, query: SearchQuery) -> list[SearchResult]:
        if query.text == "slow":
            await self._last.wait()
        else:
            self._others += 1
            if self._others == len(WORDS) - 1:
                self._last.set()
        if query.text == "broken":
            raise ConnectionError("gone")
        return [SearchResult(query.text, f"https://{query.text}.example/", "text")]


def test_sources_are_numbered_in_the_order_of_the_calls() -> None:
    async def searched() -> list[str]:
        declared = {"type": "web_search"}
        request = parse_request(b'{"model": "m", "input": "hi", "tools": [{"type": "web_search"}]}')
        services = SearchServices(Engine(), PageFetcher([], timeout=9), 5, 5, 20)
        search = WebSearch(services, DeclaredTool(request, [Declaration("tools", declared)], "", None, Ledger(), str))
        function = search.functions(declared)[0]
        calls = HostedCalls([search], Ledger())
        results = await asyncio.gather(*(calls.run(HostedCall(search, function, {"query": word})) for word in WORDS))
        return [result.text for result in results]

    slow, broken, quick = asyncio.run(searched())
    assert slow.startswith("[1] slow")
    assert "cannot be reached" in broken
    assert quick.startswith("[2] quick")
