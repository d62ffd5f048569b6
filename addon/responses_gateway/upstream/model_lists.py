"""The upstreams' own model lists, and what else they say of themselves.

Both are asked for when they are needed, remembered for a while, and never waited for long.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any
from weakref import WeakKeyDictionary

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, loads
from responses_gateway.security.terminal import get_logger
from responses_gateway.upstream.detection import Detection
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.upstream.routing import Router
from responses_gateway.upstream.server import Server
from responses_gateway.upstream.upstreams import Upstream, request_headers

logger = get_logger(__name__)

PATIENCE = 2.0
"""Seconds that a client waits for lists: Codex gives up after five."""

TIMEOUT = 5.0
"""Seconds until a slow upstream is given up; what comes after PATIENCE is there for the next client."""

MAX_AGE = 300.0
"""Seconds until a list is asked for again."""

RETRY_AGE = 30.0
"""Seconds until an upstream that gave no list is asked again."""

MAX_LIST = 16 << 20
"""Bytes."""

type Key = tuple[str, str]
"""Provider and base URL."""

type _Asked = tuple[Router, Key]
type _Listing = asyncio.Task[list[JsonObject] | None]


@dataclass(slots=True)
class ListCache:
    """The lists as they came, of everybody; outlives a change of the settings."""

    entries: dict[Key, list[JsonObject]] = field(default_factory=dict)
    servers: dict[Key, Server] = field(default_factory=dict)


class UpstreamLists:
    """Teaches one router, and those of single owners, what their upstreams have."""

    def __init__(
        self, router: Router, cache: ListCache, http: HttpClient, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._router = router
        self._cache = cache
        self._http = http
        self._clock = clock
        self._detection = Detection(http, clock)
        self._due: WeakKeyDictionary[Router, dict[Key, float]] = WeakKeyDictionary()
        self._listing: dict[_Asked, _Listing] = {}
        self._detecting: dict[_Asked, asyncio.Task[None]] = {}
        for upstream in router.upstreams():
            if (entries := cache.entries.get(_key(upstream))) is not None:
                router.learn(upstream.provider, entries)
            if (server := cache.servers.get(_key(upstream))) is not None:
                router.identify(upstream, server)

    async def refresh(self, owner: str, client_headers: Mapping[str, str], patience: float = PATIENCE) -> None:
        """Ask the upstreams whose list is missing or old, all at once; returns after `patience` seconds at the latest.

        `client_headers` (by lower-case name) may hold the client's own key, for upstreams that get it; what they answer
        is taught to the owner's router only.
        """
        router = self._begin_old(owner, client_headers)
        await _wait([*_of(router, self._listing), *_of(router, self._detecting)], patience)

    async def ensure(self, model: str | None, owner: str, client_headers: Mapping[str, str]) -> None:
        """Wait for the upstreams' lists only if the router does not know where `model` goes."""
        try:
            if model:
                self._router.of(owner).resolve(model)
        except GatewayError:
            self._begin_old(owner, client_headers)
            await _wait(_of(self._router.of(owner), self._listing), PATIENCE)

    def answered(self, provider: str, owner: str, client_headers: Mapping[str, str]) -> None:
        """An upstream answers a turn: ask it in the background what it is, unless that is known. Nobody waits for it.

        Before that nothing says that there is anybody to ask.
        """
        router = self._router.of(owner)
        there = (upstream for upstream in router.upstreams() if upstream.provider == provider)
        unknown = [upstream for upstream in there if self._detection.comes_due(router, upstream)]
        self._begin(router, unknown, client_headers)

    def _begin_old(self, owner: str, client_headers: Mapping[str, str]) -> Router:
        """Ask the upstreams whose list is missing or old; returns the owner's router."""
        router = self._router.of(owner)
        due = self._due.setdefault(router, {})
        old = [upstream for upstream in router.upstreams() if self._clock() >= due.get(_key(upstream), 0.0)]
        self._begin(router, old, client_headers)
        return router

    def _begin(self, router: Router, upstreams: Iterable[Upstream], client_headers: Mapping[str, str]) -> None:
        """Ask upstreams, unless they are being asked already."""
        for upstream in upstreams:
            asked = router, _key(upstream)
            if asked in self._detecting:
                continue
            headers = request_headers(upstream, client_headers, None, "application/json")
            listing = asyncio.create_task(self._list(router, upstream, headers))
            detecting = asyncio.create_task(self._detect(router, upstream, headers, listing))
            self._listing[asked], self._detecting[asked] = listing, detecting
            detecting.add_done_callback(partial(self._forget, asked))

    def _forget(self, asked: _Asked, _: asyncio.Task[None]) -> None:
        del self._listing[asked], self._detecting[asked]

    async def _list(self, router: Router, upstream: Upstream, headers: Mapping[str, str]) -> list[JsonObject] | None:
        key = _key(upstream)
        entries = await fetch_models(self._http, upstream, headers)
        self._due.setdefault(router, {})[key] = self._clock() + (RETRY_AGE if entries is None else MAX_AGE)
        if entries is not None:
            router.learn(upstream.provider, entries)
            if router is self._router:
                self._cache.entries[key] = entries
        return entries

    async def _detect(self, router: Router, upstream: Upstream, headers: Mapping[str, str], listing: _Listing) -> None:
        server = await self._detection.detect(router, upstream, headers, await listing)
        if server is not None:
            router.identify(upstream, server)
            if router is self._router:
                self._cache.servers[_key(upstream)] = server


async def fetch_models(http: HttpClient, upstream: Upstream, headers: Mapping[str, str]) -> list[JsonObject] | None:
    """The entries of an upstream's /models, asked with these request headers; None when it does not tell."""
    kept = {name: value for name, value in headers.items() if name != "content-type"}
    kept["accept"] = "application/json"
    try:
        async with (
            asyncio.timeout(TIMEOUT),
            http.request("GET", f"{upstream.base_url}/models", kept) as response,
        ):
            body, whole = await response.read(MAX_LIST)
        if response.status != HTTPStatus.OK or not whole:
            raise ValueError(f"status {response.status}, {len(body)} bytes")
        listed = loads(body)
    except (OSError, ValueError, RecursionError) as error:
        logger.debug("%s has no model list: %s", upstream.base_url, error)
        return None
    entries = listed.get("data", listed.get("models")) if isinstance(listed, dict) else listed
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else None


def _key(upstream: Upstream) -> Key:
    return upstream.provider, upstream.base_url


def _of[T](router: Router, tasks: Mapping[_Asked, asyncio.Task[T]]) -> list[asyncio.Task[T]]:
    return [task for (whose, _), task in tasks.items() if whose is router]


async def _wait(tasks: Sequence[asyncio.Task[Any]], patience: float) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=patience)
