"""Whether the gateway lives, and whether it can work. The answers say nothing about keys, addresses or models."""

import asyncio

from responses_gateway.protocol.http import Answer, Call
from responses_gateway.protocol.json import dumps
from responses_gateway.turn.runtime import Runtime
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.version import __version__

PATIENCE = 2.0
"""Seconds that an upstream has to answer anything at all."""


_NAME = "responses-gateway"


async def live(call: Call, runtime: Runtime) -> Answer:
    """200 as long as the process answers; says that it is a gateway."""
    headers = {"content-type": "application/json", "server": f"{_NAME}/{__version__}"}
    return Answer(dumps({"status": "ok"}), headers=headers)


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


async def _answers(http: HttpClient, url: str) -> bool:
    """Asked without a key: a refusal is an answer too."""
    try:
        async with asyncio.timeout(PATIENCE), http.request("GET", url):
            return True
    except OSError:
        return False
