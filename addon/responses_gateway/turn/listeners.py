"""What turns are served with, for each listener of the proxy: each has a default upstream of its own."""

import os
import time
from functools import partial
from typing import NamedTuple
from uuid import uuid4

from mitmproxy import ctx
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode

from responses_gateway.hosted.registry import HostedTools
from responses_gateway.settings.settings import Settings
from responses_gateway.state.state import State
from responses_gateway.turn.background import Jobs
from responses_gateway.turn.runtime import Runtime, Watch
from responses_gateway.turn.sessions import Sessions
from responses_gateway.turn.steerings import Steerings
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.health import UpstreamHealth
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.upstream.learned_repairs import LearnedRepairs, default_path
from responses_gateway.upstream.model_lists import ListCache, UpstreamLists, fetch_models
from responses_gateway.upstream.routing import Router
from responses_gateway.upstream.spoken_apis import SpokenApis

MOST_LISTENERS = 100
"""Clients choose the servers that they ask."""


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
        self._apis = SpokenApis(time.time)
        self._jobs = Jobs(new_id, time.time)
        self.steerings = Steerings()
        self.learned_repairs = LearnedRepairs(default_path(os.environ), time.time)
        self._settings: Settings | None = None
        self._state: State | None = None
        self._hosted: HostedTools | None = None
        self._health = UpstreamHealth(0, time.monotonic)
        self._by_mode: dict[tuple[str, str | None], Listener] = {}

    def use(self, settings: Settings) -> None:
        """Serve by new settings from now on. Raises SettingsError or SecretError, and keeps the old ones then."""
        hosted = HostedTools(settings, self._http, new_id)
        self._http.proxies = settings.proxies
        if self._settings is None or self._state is None or not settings.keeps_state_as(self._settings):
            # Turns that still run keep the state from before, and close it as they end.
            self._state = State(settings)
        self._settings, self._hosted = settings, hosted
        self._health = UpstreamHealth(settings.upstream_rest, time.monotonic)
        self._by_mode.clear()

    def of(self, mode: ProxyMode, origin: str | None = None) -> Listener:
        """What serves the listener of a mode. `use` must have been called.

        `origin` is whom the client asked, when the listener is a proxy: the client's key is for that server only.
        """
        settings = self._settings
        assert settings is not None  # noqa: S101 (configure ran before any flow)
        # Without a provider that gets the client's key, all servers are the same.
        keeper = origin if origin is None or settings.forwards_authorization else ""
        listener = self._by_mode.get((mode.full_spec, keeper))
        if listener is None:
            if len(self._by_mode) >= MOST_LISTENERS:
                self._by_mode.clear()
            made = self._made(mode, settings) if origin is None else self._made_for_proxy(settings, origin)
            listener = self._by_mode[mode.full_spec, keeper] = made
        return listener

    def _made(self, mode: ProxyMode, settings: Settings) -> Listener:
        return self._listener(settings, Router(settings, self._target(mode, settings)))

    def _made_for_proxy(self, settings: Settings, origin: str) -> Listener:
        """What serves clients that sent their requests to another server: as if they came to the first reverse proxy.

        But that proxy would pass on the client's key, which is not for it here.
        """
        modes = [mode for mode in map(ProxyMode.parse, ctx.options.mode) if isinstance(mode, ReverseMode)]
        target = self._target(modes[0], settings) if modes else None
        own = settings.for_clients_of(origin)
        if target is not None and own.upstream is None:
            own = own.model_copy(update={"upstream": target})
        return self._listener(own, Router(own))

    def _target(self, mode: ProxyMode, settings: Settings) -> str | None:
        """The target of a reverse proxy, if it is to serve; None for other modes."""
        if not isinstance(mode, ReverseMode) or (self._target_is_fallback and settings.names_upstream):
            return None
        host, port = mode.address
        return f"{mode.scheme}://{host}:{port}"

    def _listener(self, settings: Settings, router: Router) -> Listener:
        state, hosted = self._state, self._hosted
        assert state is not None  # noqa: S101 (configure ran before any flow)
        assert hosted is not None  # noqa: S101
        lists = UpstreamLists(router, self._lists, self._http)
        runtime = Runtime(
            settings,
            router,
            self._sessions,
            state,
            self._jobs,
            lists,
            self._http,
            self._apis,
            new_id,
            time.time,
            hosted,
            self.steerings,
            self._watch,
        )
        fetch = partial(fetch_models, self._http)
        services = TurnServices(
            settings,
            router,
            self.learned_repairs,
            fetch,
            answered=lists.answered,
            health=self._health,
        )
        return Listener(runtime, services)

    async def close(self) -> None:
        """Stop background jobs, and close connections and the state."""
        await self._jobs.close()
        if self._hosted is not None:
            await self._hosted.close()
        await self._http.close()
        if self._state is not None:
            await self._state.close()
