"""What exchanges need of the gateway around them."""

from collections.abc import Callable
from dataclasses import dataclass

from responses_gateway.hosted.registry import HostedTools
from responses_gateway.protocol.responses import ResponsesRequest
from responses_gateway.settings.settings import Settings
from responses_gateway.state.state import State
from responses_gateway.translate.answer.items import Event
from responses_gateway.turn.background import Jobs
from responses_gateway.turn.sessions import Sessions
from responses_gateway.turn.steerings import Steerings
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.upstream.model_lists import UpstreamLists
from responses_gateway.upstream.routing import Router
from responses_gateway.upstream.spoken_apis import SpokenApis

type Watch = Callable[[ResponsesRequest, list[Event]], None]
"""Is given the events of every answer as they are made, with the request that they answer."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The settings and shared services of one listener."""

    settings: Settings
    router: Router
    sessions: Sessions
    state: State
    jobs: Jobs
    lists: UpstreamLists
    http: HttpClient
    apis: SpokenApis
    """Which API upstreams speak."""

    new_id: Callable[[str], str]
    """Makes an id with the given prefix, such as `resp`."""

    clock: Callable[[], float]
    """The time in seconds since the epoch."""

    hosted: HostedTools
    steerings: Steerings
    watch: Watch | None = None
