"""Finds out which server an upstream is, and asks it what its models can do.

The profiles say by which signs a server is recognised and what it can be asked (`detect`). All requests go to the
upstream's own host, with what every request to it carries.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from responses_gateway.catalogue.models.upstream_listing import card_fields
from responses_gateway.catalogue.providers.detection import MODELS, Said, Source
from responses_gateway.catalogue.providers.shipped import shipped
from responses_gateway.protocol.json import JsonObject, dumps, loads
from responses_gateway.security.terminal import get_logger
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.upstream.routing import Router
from responses_gateway.upstream.server import Server
from responses_gateway.upstream.upstreams import Upstream

logger = get_logger(__name__)

TIMEOUT = 3.0
"""Seconds for one answer; they are asked for at the same time."""

MAX_AGE = 3600.0
"""Seconds until a server is asked again of which kind it is."""

FIRST_PAUSE = 300.0
"""Seconds until an upstream that answers turns, but none of these questions, is asked again; doubled each time, up to
MAX_AGE."""

_MAX_ANSWER = 1 << 20
"""Bytes."""

_MAX_MODELS = 32
"""Models that a server is asked about one by one."""

_MAX_CARDS = 1024
"""Models of one server of which is remembered what it said; what was said last stays."""

_AT_ONCE = 4
"""Requests to one server at the same time."""


@dataclass(slots=True)
class _Memory:
    """What is remembered of one upstream."""

    due: float = 0.0
    """When to ask it again of our own accord."""

    old: float = 0.0
    """When to look for signs again, whoever asks."""

    failures: int = 0
    kind: str | None = None
    cards: dict[str, JsonObject] = field(default_factory=dict)
    """What it said of its models; holds on while it says nothing else."""


class Detection:
    """Asks the upstreams of one router, and of those of single owners, and remembers when to do it again."""

    def __init__(self, http: HttpClient, clock: Callable[[], float]) -> None:
        self._http = http
        self._clock = clock
        self._memories: WeakKeyDictionary[Router, dict[tuple[str, str], _Memory]] = WeakKeyDictionary()

    def comes_due(self, router: Router, upstream: Upstream) -> bool:
        """Whether there is something to find out about the upstream, and it was not asked lately. It counts as asked
        from now on."""
        memory = self._memory(router, upstream)
        if not _is_worth_asking(upstream) or self._clock() < memory.due:
            return False
        memory.due = self._clock() + min(FIRST_PAUSE * 2**memory.failures, MAX_AGE)
        memory.failures = min(memory.failures + 1, 16)
        return True

    async def detect(
        self, router: Router, upstream: Upstream, headers: Mapping[str, str], entries: Sequence[JsonObject] | None
    ) -> Server | None:
        """What the upstream says of itself; None when it says nothing new. `entries` is its model list."""
        if not _is_worth_asking(upstream):
            return None
        memory = self._memory(router, upstream)
        server = _ServerRequests(self._http, upstream.base_url, headers)
        listed = {MODELS: Said({}, {"data": list(entries)})} if entries is not None else {}
        if upstream.changes is None:
            kind: str | None = upstream.base
        else:
            kind = _kind(listed)
            if kind is None and self._clock() >= memory.old:
                kind = _kind(listed | await server.answers(_paths()))
            elif kind is None:
                kind = memory.kind
        if entries is None and not server.is_up:
            return None
        if self._clock() >= memory.old:
            memory.due = memory.old = self._clock() + MAX_AGE
            memory.failures = 0
        if kind != memory.kind and upstream.changes is not None:
            logger.info("%s: %s", upstream.base_url, f"served by {kind}, as it says" if kind else "an unknown server")
        if kind != memory.kind:
            memory.kind, memory.cards = kind, {}
        ids = [entry["id"] for entry in entries or () if isinstance(entry.get("id"), str)]
        sources = shipped()[kind].detect.sources if kind is not None else []
        said = await server.cards(sources, ids)
        kept = {model: card for model, card in memory.cards.items() if model not in said}
        memory.cards = dict(list((kept | said).items())[-_MAX_CARDS:])
        return Server(kind, dict(memory.cards))

    def _memory(self, router: Router, upstream: Upstream) -> _Memory:
        memories = self._memories.setdefault(router, {})
        return memories.setdefault((upstream.provider, upstream.base_url), _Memory())


class _ServerRequests:
    """Asks one server, at the root of its base URL."""

    def __init__(self, http: HttpClient, base_url: str, headers: Mapping[str, str]) -> None:
        self._http = http
        parts = urlsplit(base_url)
        self._root = parts._replace(path=parts.path.removesuffix("/v1")).geturl().rstrip("/")
        self._headers = {**headers, "accept": "application/json"}
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self.is_up = False
        """Whether anything was answered but that the server is not able to."""

    async def answers(self, paths: Sequence[str]) -> dict[str, Said]:
        """The answers to GET by path; paths without one are missing. A server that is down is asked for the first one
        only."""
        first, *others = paths
        answers = [await self._ask("GET", first)]
        if self.is_up:
            answers += await asyncio.gather(*(self._ask("GET", path) for path in others))
        return {path: said for path, said in zip(paths, answers, strict=False) if said is not None}

    async def cards(self, sources: Sequence[Source], models: Sequence[str]) -> dict[str, JsonObject]:
        """What the sources say, as fields of ModelCards, by model."""
        cards: dict[str, JsonObject] = {}
        for source in sources:
            for model, details in (await self._told(source, models)).items():
                if fields := card_fields(details):
                    cards[model] = {**cards.get(model, {}), **fields}
        return cards

    async def _told(self, source: Source, models: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        if source.each is None:
            said = await self._ask("GET", source.at)
            return source.by_model(said.document) if said is not None else {}
        asked = models[:_MAX_MODELS]
        answers = await asyncio.gather(*(self._ask("POST", source.at, {source.each: model}) for model in asked))
        documents = {model: said.document for model, said in zip(asked, answers, strict=True) if said is not None}
        return {model: document for model, document in documents.items() if isinstance(document, dict)}

    async def _ask(self, method: str, path: str, body: JsonObject | None = None) -> Said | None:
        """One answer with status 200; None for every other."""
        headers = {name: value for name, value in self._headers.items() if body is not None or name != "content-type"}
        content = dumps(body) if body is not None else b""
        with suppress(OSError, ValueError, RecursionError):
            async with (
                self._limit,
                asyncio.timeout(TIMEOUT),
                self._http.request(method, f"{self._root}{path}", headers, content) as response,
            ):
                self.is_up = self.is_up or response.status < 500
                if response.status != 200:
                    return None
                answer, whole = await response.read(_MAX_ANSWER)
            return Said(response.headers, _document(answer) if whole else None)
        return None


def _document(body: bytes) -> Any:
    try:
        return loads(body)
    except (ValueError, RecursionError):
        return None


def _is_worth_asking(upstream: Upstream) -> bool:
    if upstream.changes is not None:
        return True
    known = shipped().get(upstream.base)
    return known is not None and bool(known.detect.sources)


def _kind(answers: Mapping[str, Said]) -> str | None:
    """The profile of which the answers show a sign."""
    for profile in shipped().values():
        if any(sign.at in answers and sign.is_in(answers[sign.at]) for sign in profile.detect.signs):
            return profile.name
    return None


def _paths() -> list[str]:
    """All paths at which some server shows a sign."""
    paths = (sign.at for profile in shipped().values() for sign in profile.detect.signs)
    return [path for path in dict.fromkeys(paths) if path != MODELS]
