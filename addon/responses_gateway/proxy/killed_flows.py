"""Ends the turns of flows that the user kills: mitmproxy looks for that only at the head and the end of an answer."""

import asyncio
from collections.abc import Callable, Sequence

from mitmproxy import ctx, http
from mitmproxy.flow import Error, Flow

from responses_gateway.proxy.contract import StopTurn, Turn
from responses_gateway.proxy.private_parts import GRACEFUL_END, missing_parts


class KilledFlows:
    """An addon that hears of changed flows: from commands, and from mitmweb, which tells its list alone."""

    def __init__(self, turn: Callable[[http.HTTPFlow], Turn | None]) -> None:
        """`turn` gives the turn that serves a flow."""
        self._turn = turn
        self._tasks: set[asyncio.Task[None]] = set()

    def running(self) -> None:
        view = ctx.master.addons.get("view")
        if view is not None:
            view.sig_view_update.connect(self._changed)

    def update(self, flows: Sequence[Flow]) -> None:
        for one in flows:
            self._changed(one)

    def _changed(self, flow: Flow) -> None:
        if not _is_killed(flow) or not isinstance(flow, http.HTTPFlow) or self._turn(flow) is None:
            return
        server = ctx.master.addons.get("proxyserver")
        if server is None or missing_parts(GRACEFUL_END):
            return
        handler = server.connections.get(flow.client_conn.id)
        if handler is not None:
            task = asyncio.get_running_loop().create_task(handler.server_event(StopTurn(flow, cause="killed")))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


def _is_killed(flow: Flow) -> bool:
    return flow.error is not None and flow.error.msg == Error.KILLED_MESSAGE
