"""The end of the process: every turn that still runs gets its terminal event."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from mitmproxy import ctx, http

from responses_gateway.proxy.contract import ShutDown

GRACE = 3.0
"""Seconds in which turns end; each needs only to write a few bytes."""

_POLL = 0.01


async def end_turns(flows: Sequence[http.HTTPFlow]) -> None:
    """End the turns of live flows, and return when their clients have been told, or after GRACE seconds."""
    server = ctx.master.addons.get("proxyserver")
    if server is None:
        return
    handlers = [(flow, server.connections.get(flow.client_conn.id)) for flow in flows]
    await asyncio.gather(*(handler.server_event(ShutDown(flow)) for flow, handler in handlers if handler is not None))
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            while any(flow.live for flow in flows):  # noqa: ASYNC110 (mitmproxy tells nobody when a flow is over)
                await asyncio.sleep(_POLL)
