"""mitmproxy's replays: those of the gateway's flows go through its layer, as long as it is installed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.addons import clientplayback
from mitmproxy.options import Options
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode
from mitmproxy.test import taddons, tflow

from responses_gateway.proxy.layer import GatewayLayer
from responses_gateway.proxy.replay import Replays

MITMPROXYS = clientplayback.ReplayHandler


class World:
    """The gateway, which serves no flow itself."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def handler(listener: Callable[[http.HTTPFlow], ReverseMode | None]) -> Any:
    """What mitmproxy replays a flow with while the gateway's replays are installed."""

    async def make() -> Any:
        with taddons.context() as addons:
            assert isinstance(addons.options, Options)
            return clientplayback.ReplayHandler(tflow.tflow(), addons.options)

    replays = Replays(World(), listener)
    replays.install()
    try:
        return asyncio.run(make())
    finally:
        replays.remove()


def reverse(_: http.HTTPFlow) -> ReverseMode:
    mode = ProxyMode.parse("reverse:http://upstream")
    assert isinstance(mode, ReverseMode)
    return mode


def test_a_flow_of_the_gateway_is_served_by_its_layer() -> None:
    made = handler(reverse)
    assert isinstance(made.layer, GatewayLayer)
    assert made.layer.connections[made.layer.context.client].flow is made.flow


def test_any_other_flow_is_replayed_as_ever() -> None:
    made = handler(lambda _: None)
    assert type(made) is MITMPROXYS
    assert not isinstance(made.layer, GatewayLayer)


def test_nothing_is_left_behind() -> None:
    handler(reverse)
    assert clientplayback.ReplayHandler is MITMPROXYS


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_replay_would_wake_up_for_ends_with_it(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    async def replay(_: Any) -> None:
        if fails:
            raise RuntimeError("a bug")

    monkeypatch.setattr(MITMPROXYS, "replay", replay)
    made = handler(reverse)

    async def run() -> list[bool]:
        timers = [asyncio.ensure_future(asyncio.Event().wait()) for _ in range(2)]
        made.wakeup_timer.update(timers)
        try:
            await made.replay()
        except RuntimeError:
            assert fails
        await asyncio.wait(timers, timeout=5)
        return [timer.cancelled() for timer in timers]

    assert asyncio.run(run()) == [True, True]
    assert not made.wakeup_timer
