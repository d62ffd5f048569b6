"""`responses-gateway models`: lists the models that clients can use."""

import asyncio
import sys

from responses_gateway.command_line.program import program
from responses_gateway.command_line.settings import read_settings
from responses_gateway.security.terminal import say
from responses_gateway.settings.settings import Settings
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.upstream.model_lists import TIMEOUT, ListCache, UpstreamLists
from responses_gateway.upstream.routing import Listed, Router


def learnt_router(settings: Settings) -> Router:
    """A router that knows what its upstreams say about themselves; tells the terminal whom it asks."""
    router = Router(settings)
    names = ", ".join(upstream.provider for upstream in router.upstreams())
    if names:
        say(f"Asking {names} for their models …", to=sys.stderr)
        asyncio.run(_learn(router))
    return router


async def _learn(router: Router) -> None:
    async with HttpClient() as http:
        await UpstreamLists(router, ListCache(), http).refresh("", {}, TIMEOUT)


def run(config: str | None) -> int:
    """Print one line per model: its id, the provider, its name there, and its limits."""
    rows = [_row(item) for item in learnt_router(read_settings(config)).models() if not item.assumed]
    if not rows:
        say(f"No provider is configured. `{program()} configure` sets one up.", to=sys.stderr)
        return 1
    table = [("MODEL", "PROVIDER", "NAME THERE", "CONTEXT", "OUTPUT"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _row(item: Listed) -> tuple[str, str, str, str, str]:
    card = item.route.card
    return (
        item.id,
        item.route.provider,
        item.route.model,
        str(card.context_window or "?"),
        str(card.max_output_tokens or "?"),
    )
