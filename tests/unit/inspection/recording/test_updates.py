"""Running flows are shown within a share of the CPU time, and never too late."""

from types import SimpleNamespace

import pytest
from mitmproxy.test import tflow

from responses_gateway.inspection.recording import updates
from responses_gateway.inspection.recording.updates import INTERVAL, PATIENCE, SHARE, Updates


class World:
    """A clock, CPU time and an event loop; showing a flow costs `cost` seconds of CPU."""

    def __init__(self, monkeypatch):
        self.now = self.cpu = self.cost = 0.0
        self.shown = []
        self.timer = None
        monkeypatch.setattr(updates.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(updates.time, "thread_time", lambda: self.cpu)
        monkeypatch.setattr(updates.asyncio, "get_running_loop", lambda: SimpleNamespace(call_later=self._call_later))
        self.updates = Updates(self._show)

    def _call_later(self, delay, call):
        self.timer = (self.now + delay, call)
        return self.timer

    def _show(self, flow):
        self.shown.append(flow)
        self.cpu += self.cost

    def work(self, seconds, share):
        """Time passes; other work takes its share of the CPU."""
        end = self.now + seconds
        while self.timer and self.timer[0] <= end:
            (at, call), self.timer = self.timer, None
            self.cpu += (at - self.now) * share
            self.now = at
            call()
        self.cpu += (end - self.now) * share
        self.now = end


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


def test_a_change_is_shown_soon_when_it_costs_little(world):
    flow = tflow.tflow()
    world.updates.add(flow)
    world.updates.add(flow)
    world.work(INTERVAL * 1.5, 0.5)
    assert world.shown == [flow]
    world.work(10, 0.5)
    assert world.shown == [flow]


def test_showing_takes_its_share_and_no_more(world):
    flows = [tflow.tflow() for _ in range(20)]
    world.cost = 0.004
    for _ in range(4000):
        for flow in flows:
            world.updates.add(flow)
        world.work(0.01, 0.5)
    assert len(world.shown) * world.cost < 1.2 * SHARE * world.cpu + 20 * world.cost * 40 / PATIENCE
    assert {id(flow) for flow in world.shown} == {id(flow) for flow in flows}


def test_no_change_waits_forever(world):
    flow = tflow.tflow()
    world.cost = 1.0
    for _ in range(3):
        world.updates.add(flow)
        world.work(PATIENCE + 2 * INTERVAL, 0.0)
    assert len(world.shown) == 3


def test_a_flow_that_ended_is_not_shown_again(world):
    flow = tflow.tflow()
    world.updates.add(flow)
    world.updates.discard(flow)
    world.work(10, 0.5)
    assert world.shown == []
