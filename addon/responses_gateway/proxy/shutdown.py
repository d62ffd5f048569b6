"""The end of the process: every turn that still runs gets its terminal event."""

import asyncio
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress

from mitmproxy import ctx, http

from responses_gateway.proxy.contract import ShutDown

GRACE = 3.0
"""Seconds in which turns end; each needs only to write a few bytes."""

_POLL = 0.01


def stop_on_hangup() -> None:
    """Let a closed terminal (SIGHUP) end the process as mitmproxy's own signals do, unless somebody decided on it:
    nohup ignores it."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(hangup) is signal.SIG_DFL:
        asyncio.get_running_loop().add_signal_handler(hangup, ctx.master.shutdown)


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
