"""The end of the process: the answer of every turn that still runs is ended with its terminal event."""

import asyncio
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress

from mitmproxy import ctx, http

from responses_gateway.proxy.contract import StopTurn
from responses_gateway.proxy.private_parts import GRACEFUL_END, missing_parts

GRACE = 3.0
"""Seconds that turns have to end; each needs only to write a few bytes."""

_POLL = 0.01
"""Seconds between two looks whether they have."""


def stop_on_hangup() -> None:
    """Let a closed terminal (SIGHUP) end the process as SIGINT and SIGTERM do in mitmproxy.

    If somebody has set what the signal does, that stays: nohup has it ignored.
    """
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(hangup) is signal.SIG_DFL:
        asyncio.get_running_loop().add_signal_handler(hangup, ctx.master.shutdown)


async def end_turns(flows: Sequence[http.HTTPFlow]) -> None:
    """End the turns of live flows, and return when their clients have been told, or after GRACE seconds."""
    server = ctx.master.addons.get("proxyserver")
    if server is None or missing_parts(GRACEFUL_END):
        return
    handlers = [(flow, server.connections.get(flow.client_conn.id)) for flow in flows]
    await asyncio.gather(*(handler.server_event(StopTurn(flow)) for flow, handler in handlers if handler is not None))
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            while any(flow.live for flow in flows):  # noqa: ASYNC110 (mitmproxy tells nobody when a flow is over)
                await asyncio.sleep(_POLL)
