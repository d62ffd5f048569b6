"""Whether the gateway lives, and whether it can work. Without `?verbose`, the answers name no upstream."""

import asyncio
import time

from responses_gateway.access.rules import asks_for_details
from responses_gateway.protocol.http import Answer, Call
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.turn.runtime import Runtime
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.upstream.upstreams import Upstream, request_headers
from responses_gateway.version import __version__

PATIENCE = 2.0
"""Seconds that an upstream has to answer anything at all."""


_NAME = "responses-gateway"


async def live(call: Call, runtime: Runtime) -> Answer:
    """200 as long as the process answers. Names the gateway and, with `?verbose`, the state of the upstreams."""
    answer: JsonObject = {"status": "ok"}
    if asks_for_details(call.target.partition("?")[2]):
        upstreams = runtime.router.upstreams()
        states = await asyncio.gather(*(_state(runtime, upstream, call.owner) for upstream in upstreams))
        answer |= {"version": __version__, "default_model": runtime.settings.default_model, "upstreams": states}
    headers = {"content-type": "application/json", "server": f"{_NAME}/{__version__}"}
    return Answer(dumps(answer), headers=headers)


def is_gateway(server: str) -> bool:
    """Whether the header `server` of an answer to /healthz is that of a gateway."""
    return server.partition("/")[0] == _NAME


async def ready(call: Call, runtime: Runtime) -> Answer:
    """200 when at least one upstream answers HTTP, with whatever status; else 503."""
    urls = {upstream.base_url for upstream in runtime.router.upstreams()}
    reachable = await asyncio.gather(*(_answers(runtime.http, f"{url}/models") for url in urls))
    if any(reachable):
        return Answer.json({"status": "ready"})
    return Answer(dumps({"status": "unavailable", "reason": "no upstream can be reached"}), 503)


async def _state(runtime: Runtime, upstream: Upstream, owner: str) -> JsonObject:
    """What a person needs to know of an upstream; never its key."""
    began = time.monotonic()
    url = f"{upstream.base_url}/models"
    state: JsonObject = {"name": upstream.provider, "base_url": upstream.base_url, "has_key": bool(upstream.api_key)}
    try:
        async with asyncio.timeout(PATIENCE), runtime.http.request("GET", url, _headers(upstream)) as response:
            state |= {"reachable": True, "status": response.status}
    except OSError as error:
        state |= {"reachable": False, "error": str(error) or f"no answer within {PATIENCE:g} seconds"}
    listed = runtime.router.of(owner).listed(upstream.provider)
    models = None if listed is None else len(listed)
    return {**state, "milliseconds": round((time.monotonic() - began) * 1000), "models": models}


def _headers(upstream: Upstream) -> dict[str, str]:
    headers = request_headers(upstream, {}, None, "application/json")
    return {name: value for name, value in headers.items() if name != "content-type"}


async def _answers(http: HttpClient, url: str) -> bool:
    """Asked without a key: a refusal is an answer too."""
    try:
        async with asyncio.timeout(PATIENCE), http.request("GET", url):
            return True
    except OSError:
        return False
