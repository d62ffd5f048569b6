"""`responses-gateway check`: tests each provider with a real call, and prints one line for each."""

import asyncio
import sys

from responses_gateway.command_line.errors import CommandError
from responses_gateway.command_line.models import learnt_router
from responses_gateway.command_line.program import program
from responses_gateway.command_line.settings import read_settings
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.security.terminal import say
from responses_gateway.settings.settings import Settings
from responses_gateway.upstream.probe import ProbeResult, probe
from responses_gateway.upstream.routing import Route, Router
from responses_gateway.upstream.upstreams import Upstream


def run(config: str | None, model: str | None) -> int:
    """Check every provider in use; `model` restricts it to that model's. The exit status is 1 when one fails."""
    settings = read_settings(config)
    router = learnt_router(settings)
    routes = _routes(router, settings, model)
    failed = False
    for name, route in routes:
        if route is None:
            say(f"FAIL  {name}: no model of it is known; name one with --model {name}/MODEL")
            failed = True
            continue
        say(f"Calling {route.model} at {route.base_url} …", to=sys.stderr)
        finding = asyncio.run(probe(route))
        failed = failed or not finding.works
        say(line(route, finding))
    return 1 if failed else 0


def line(upstream: Upstream, finding: ProbeResult) -> str:
    """Describe the result of one probe; each step depends on the one before."""
    facts = (
        (finding.reachable, "reachable"),
        (finding.key_accepted, f"key accepted ({upstream.key_source})" if upstream.api_key else "no key needed"),
        (finding.api, f"asked by {finding.api}"),
        (finding.model_exists, f"model {finding.model} exists"),
        (finding.streams, "streams"),
        (finding.calls_tool, "calls a tool"),
    )
    words = [f"served by {upstream.detected}"] if upstream.detected else []
    words += [text for fact, text in facts if fact]
    if finding.problem:
        words.append(finding.problem)
    return f"{'ok  ' if finding.works else 'FAIL'}  {upstream.provider}: {', '.join(words)}"


def _routes(router: Router, settings: Settings, model: str | None) -> list[tuple[str, Route | None]]:
    wanted = [name for name in (model, settings.default_model) if name]
    chosen: dict[str, Route | None] = {}
    try:
        for name in wanted:
            route = router.resolve(name)
            chosen.setdefault(route.provider, route)
    except GatewayError as error:
        raise CommandError(error.message) from None
    if model:
        return list(chosen.items())[:1]
    for upstream in router.upstreams():
        known = (item.route for item in router.models() if item.route.provider == upstream.provider)
        chosen.setdefault(upstream.provider, next(known, None))
    if not chosen:
        raise CommandError(f"no provider is configured; `{program()} configure` sets one up")
    return list(chosen.items())
