"""Turns of flows that the user kills are ended at once, and only those."""

import asyncio
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.flow import Error
from mitmproxy.test import taddons, tflow

from responses_gateway.proxy.contract import StopTurn
from responses_gateway.proxy.killed_flows import KilledFlows


class Proxyserver:
    """Stands for mitmproxy's: one connection, which notes what it is told."""

    def __init__(self) -> None:
        self.connections: dict[str, Any] = {}
        self.told: list[StopTurn] = []

    async def server_event(self, event: StopTurn) -> None:
        self.told.append(event)


def told_of(flow: http.HTTPFlow, turn: object, connected: bool = True) -> list[StopTurn]:
    server = Proxyserver()
    if connected:
        server.connections[flow.client_conn.id] = server

    async def update() -> None:
        addon = KilledFlows(lambda _: turn)  # type: ignore[arg-type, return-value]
        with taddons.context(server, addon):
            addon.update([flow])
            await asyncio.sleep(0)

    asyncio.run(update())
    return server.told


def test_a_killed_turn_is_ended() -> None:
    flow = tflow.tflow(err=True)
    assert flow.error is not None
    flow.error.msg = Error.KILLED_MESSAGE
    [told] = told_of(flow, turn="a turn")
    assert (told.flow, told.cause) == (flow, "killed")


@pytest.mark.parametrize("error", [None, "the client has left"])
def test_another_end_is_no_reason(error: str | None) -> None:
    flow = tflow.tflow()
    flow.error = Error(error) if error else None
    assert told_of(flow, turn="a turn") == []


@pytest.mark.parametrize(("turn", "connected"), [(None, True), ("a turn", False)])
def test_what_no_turn_serves_or_has_gone_is_left_alone(turn: object, connected: bool) -> None:
    flow = tflow.tflow()
    flow.error = Error(Error.KILLED_MESSAGE)
    assert told_of(flow, turn, connected) == []
