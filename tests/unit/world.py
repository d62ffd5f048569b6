"""Exchanges without a proxy: the world around them in memory, with predictable ids and a clock that stands still."""

import itertools
from collections.abc import Mapping

from responses_gateway.hosted.calls import NO_CALLS, Calls
from responses_gateway.hosted.registry import HostedTools
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.settings.settings import Settings
from responses_gateway.state.recorder import Recorder
from responses_gateway.state.state import State
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn import opening
from responses_gateway.turn.background import Jobs
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.runtime import Runtime
from responses_gateway.turn.sessions import Sessions
from responses_gateway.turn.steerings import Steerings
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.upstream.model_lists import ListCache, UpstreamLists
from responses_gateway.upstream.routing import Router
from responses_gateway.upstream.spoken_apis import SpokenApis


def runtime(settings: Settings, reverse_url: str | None = None) -> Runtime:
    counter = itertools.count()

    def new_id(prefix: str) -> str:
        return f"{prefix}_{next(counter)}"

    def clock() -> float:
        return 2.0

    router = Router(settings, reverse_url)
    http = HttpClient()
    lists = UpstreamLists(router, ListCache(), http)
    hosted = HostedTools(settings, http, new_id)
    state, jobs, apis = State(settings), Jobs(new_id, clock), SpokenApis(clock)
    return Runtime(settings, router, Sessions(), state, jobs, lists, http, apis, new_id, clock, hosted, Steerings())


def open_exchange(
    request: JsonObject | bytes, headers: Mapping[str, str], world: Runtime, hosted: Calls = NO_CALLS
) -> Exchange:
    """The exchange of a request, given as a body or as what is in one. Raises GatewayError."""
    body = request if isinstance(request, bytes) else dumps(request)
    recorder = Recorder(world.state, "", Ledger())
    return opening.open_exchange(parse_request(body), headers, world, recorder, hosted=hosted)
