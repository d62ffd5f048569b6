"""Search engines behind one interface: Brave Search, SearXNG and Tavily."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from responses_gateway.hosted.interface import HostedError
from responses_gateway.hosted.search_declaration import Location
from responses_gateway.protocol.json import JsonObject, dumps, loads
from responses_gateway.security.header_fields import is_safe
from responses_gateway.settings.config_file import SettingsError
from responses_gateway.settings.options import BRAVE_KEY, TAVILY_KEY
from responses_gateway.settings.settings import Settings
from responses_gateway.upstream.http_client import HttpClient

_ANSWER_LIMIT = 4 << 20
"""Bytes of an engine's answer at most; real answers are far smaller."""

_TITLE_LIMIT = 200
_SNIPPET_LIMIT = 1500


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to look for. Domains include their subdomains; `thorough` asks for more text per result."""

    text: str
    count: int
    allowed_domains: Sequence[str] = ()
    blocked_domains: Sequence[str] = ()
    location: Location | None = None
    thorough: bool = False


@dataclass(frozen=True, slots=True)
class SearchResult:
    title: str
    url: str
    snippet: str


class SearchEngine(Protocol):
    """One search engine; `name` is for people."""

    name: str

    async def search(self, query: SearchQuery) -> list[SearchResult]:
        """The best results first. Raises HostedError, or OSError when the engine cannot be reached."""


class BraveSearch:
    """https://api-dashboard.search.brave.com/app/documentation/web-search/query"""

    name = "Brave Search"

    def __init__(self, http: HttpClient, base_url: str, key: str | None) -> None:
        self._http = http
        self._url = _endpoint(base_url, "/res/v1/web/search")
        self._key = key

    async def search(self, query: SearchQuery) -> list[SearchResult]:
        location = query.location or Location()
        parameters = {"q": _with_sites(query), "count": str(min(20, query.count)), "text_decorations": "false"}
        if location.country:
            parameters["country"] = location.country
        if query.thorough:
            parameters["extra_snippets"] = "true"
        headers = {
            "x-subscription-token": self._key,
            "x-loc-country": location.country,
            "x-loc-state-name": location.region,
            "x-loc-city": location.city,
            "x-loc-timezone": location.timezone,
        }
        sent = {name: value for name, value in headers.items() if value and value.isascii() and is_safe(name, value)}
        answer = await _fetch(self._http, self.name, "GET", f"{self._url}?{urlencode(parameters)}", sent)
        web = answer.get("web")
        return _results(web.get("results") if isinstance(web, dict) else None, "description", query)


class SearXng:
    """https://docs.searxng.org/dev/search_api.html"""

    name = "SearXNG"

    def __init__(self, http: HttpClient, base_url: str) -> None:
        self._http = http
        self._url = _endpoint(base_url, "/search")

    async def search(self, query: SearchQuery) -> list[SearchResult]:
        parameters = urlencode({"q": _with_sites(query), "format": "json"})
        answer = await _fetch(
            self._http,
            self.name,
            "GET",
            f"{self._url}?{parameters}",
            {},
            {403: "its settings.yml must have json among search.formats"},
        )
        return _results(answer.get("results"), "content", query)


class Tavily:
    """https://docs.tavily.com/documentation/api-reference/endpoint/search"""

    name = "Tavily"

    def __init__(self, http: HttpClient, base_url: str, key: str | None) -> None:
        self._http = http
        self._url = _endpoint(base_url, "/search")
        self._key = key

    async def search(self, query: SearchQuery) -> list[SearchResult]:
        body: JsonObject = {
            "query": query.text,
            "max_results": min(20, query.count),
            "search_depth": "advanced" if query.thorough else "basic",
        }
        if query.allowed_domains:
            body["include_domains"] = list(query.allowed_domains)
        if query.blocked_domains:
            body["exclude_domains"] = list(query.blocked_domains)
        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        answer = await _fetch(self._http, self.name, "POST", self._url, headers, body=dumps(body))
        return _results(answer.get("results"), "content", query)


def search_engine(settings: Settings, http: HttpClient) -> SearchEngine | None:
    """The engine that the settings name, else the one whose key was found; None without any. Raises SettingsError."""
    keys = {name: key.get_secret_value() for name, key in settings.credentials.environment.items()}
    brave, tavily = keys.get(BRAVE_KEY), keys.get(TAVILY_KEY)
    chosen = settings.search or ("brave" if brave else "tavily" if tavily else None)
    match chosen:
        case "brave":
            if brave is None and settings.search_url is None:
                raise SettingsError(f"search: brave needs a key in the environment variable {BRAVE_KEY}")
            return BraveSearch(http, settings.search_url or "https://api.search.brave.com", brave)
        case "tavily":
            if tavily is None and settings.search_url is None:
                raise SettingsError(f"search: tavily needs a key in the environment variable {TAVILY_KEY}")
            return Tavily(http, settings.search_url or "https://api.tavily.com", tavily)
        case "searxng":
            if settings.search_url is None:
                raise SettingsError("search: searxng needs search_url, the address of the instance")
            return SearXng(http, settings.search_url)
        case _:
            return None


def _endpoint(base_url: str, path: str) -> str:
    """The URL of the endpoint; `base_url` may be the host alone, or the whole endpoint."""
    return base_url if base_url.endswith("/search") else base_url.rstrip("/") + path


def _with_sites(query: SearchQuery) -> str:
    """The query with its domains as operators, for engines without parameters for them."""
    allowed = " OR ".join(f"site:{domain}" for domain in query.allowed_domains)
    blocked = " ".join(f"-site:{domain}" for domain in query.blocked_domains)
    return " ".join(filter(None, (query.text, f"({allowed})" if " OR " in allowed else allowed, blocked)))


async def _fetch(
    http: HttpClient,
    engine: str,
    method: str,
    url: str,
    headers: Mapping[str, str],
    hints: Mapping[int, str] | None = None,
    *,
    body: bytes = b"",
) -> JsonObject:
    common = {"accept": "application/json", "accept-encoding": "gzip"}
    if body:
        common["content-type"] = "application/json"
    async with http.request(method, url, {**common, **headers}, body) as response:
        content, whole = await response.read(_ANSWER_LIMIT)
    if response.status != 200:
        hint = (hints or {}).get(response.status)
        said = " ".join(content[:200].decode("utf-8", "replace").split())
        raise HostedError(f"{engine} answered {response.status}: {hint or said or 'no reason given'}")
    try:
        answer = loads(content) if whole else None
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise HostedError(f"{engine} did not answer with a JSON object")
    return answer


def _results(entries: Any, snippet: str, query: SearchQuery) -> list[SearchResult]:
    """The usable entries of an engine's list. Domains are checked here too: engines may ignore them."""
    results = []
    for entry in entries if isinstance(entries, list) else ():
        url = entry.get("url") if isinstance(entry, dict) else None
        if not isinstance(url, str) or not url.startswith(("http://", "https://")) or not _wanted(url, query):
            continue
        pieces = [entry.get(snippet), *(entry.get("extra_snippets") or ())]
        text = " … ".join(_line(piece) for piece in pieces if isinstance(piece, str) and piece.strip())
        title = entry.get("title")
        results.append(
            SearchResult(_line(title)[:_TITLE_LIMIT] if isinstance(title, str) else url, url, text[:_SNIPPET_LIMIT])
        )
    return results[: query.count]


def _wanted(url: str, query: SearchQuery) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return (not query.allowed_domains or within(host, query.allowed_domains)) and not within(
        host, query.blocked_domains
    )


def within(host: str, domains: Sequence[str]) -> bool:
    """Whether `host` is one of the domains or below one."""
    host = host.lower()
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def _line(text: str) -> str:
    return " ".join(text.split())
