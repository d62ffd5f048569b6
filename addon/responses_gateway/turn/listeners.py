"""What turns are served with, for each listener of the proxy: each has a default upstream of its own."""

import os
import time
from functools import partial
from typing import NamedTuple
from uuid import uuid4

from mitmproxy.proxy.mode_specs import ReverseMode

from responses_gateway.hosted.web_search import SearchServices, WebSearch, search_services
from responses_gateway.settings.settings import Settings
from responses_gateway.state.state import State
from responses_gateway.turn.background import Jobs
from responses_gateway.turn.runtime import Runtime, Watch
from responses_gateway.turn.sessions import Sessions
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.upstream.learned_repairs import LearnedRepairs, default_path
from responses_gateway.upstream.model_lists import ListCache, UpstreamLists, fetch_models
from responses_gateway.upstream.native_ids import NativeIds
from responses_gateway.upstream.routing import Router
from responses_gateway.upstream.spoken_apis import SpokenApis


def new_id(prefix: str) -> str:
    """An id in the form that OpenAI's API uses."""
    return f"{prefix}_{uuid4().hex}"


class Listener(NamedTuple):
    """What the exchanges of one listener are opened with, and its turns served."""

    runtime: Runtime
    services: TurnServices


class Listeners:
    """Makes them from the settings, and owns what they share: sessions, state, background jobs, the HTTP client.

    `target_is_fallback`: the target of the reverse proxy mode serves only when the settings have no upstream.
    """

    def __init__(self, *, target_is_fallback: bool, watch: Watch | None) -> None:
        self._target_is_fallback = target_is_fallback
        self._watch = watch
        self._sessions = Sessions()
        self._lists = ListCache()
        self._http = HttpClient()
        self._native_ids = NativeIds()
        self._apis = SpokenApis(time.monotonic)
        self._jobs = Jobs(new_id, time.time)
        self.learned_repairs = LearnedRepairs(default_path(os.environ), time.time)
        self._settings: Settings | None = None
        self._state: State | None = None
        self._search: SearchServices | None = None
        self._by_mode: dict[str, Listener] = {}

    def use(self, settings: Settings) -> None:
        """Serve by new settings from now on. Raises SettingsError or SecretError, and keeps the old ones then."""
        search = search_services(settings, self._http)
        if self._settings is None or self._state is None or not settings.keeps_state_as(self._settings):
            # Turns that still run keep the state from before, and close it as they end.
            self._state = State(settings)
        self._settings, self._search = settings, search
        self._by_mode.clear()

    def of(self, mode: ReverseMode) -> Listener:
        """What serves the listener of a mode. `use` must have been called."""
        listener = self._by_mode.get(mode.full_spec)
        if listener is None:
            listener = self._by_mode[mode.full_spec] = self._made(mode)
        return listener

    def _made(self, mode: ReverseMode) -> Listener:
        settings, state = self._settings, self._state
        assert settings is not None  # noqa: S101 (configure ran before any flow)
        assert state is not None  # noqa: S101
        host, port = mode.address
        needs_target = not (self._target_is_fallback and settings.names_upstream)
        router = Router(settings, f"{mode.scheme}://{host}:{port}" if needs_target else None)
        runtime = Runtime(
            settings,
            router,
            self._sessions,
            state,
            self._jobs,
            UpstreamLists(router, self._lists, self._http),
            self._http,
            self._native_ids,
            self._apis,
            new_id,
            time.time,
            self._watch,
            searches=self._search is not None,
        )
        search = partial(WebSearch, self._search) if self._search is not None else None
        fetch = partial(fetch_models, self._http)
        return Listener(runtime, TurnServices(settings, router, self.learned_repairs, fetch, search))

    async def close(self) -> None:
        """Stop background jobs, and close connections and the state."""
        await self._jobs.close()
        await self._http.close()
        if self._state is not None:
            await self._state.close()
