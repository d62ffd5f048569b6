"""Which listener, and with it which upstream, a replayed flow belongs to."""

import pytest
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow

from responses_gateway.proxy.replay import listener_of

THEN = "reverse:https://then.example"
TODAY = "reverse:https://today.example@4141"


def flow(mode, replay):
    made = tflow.tflow()
    made.client_conn.proxy_mode = ProxyMode.parse(mode)
    made.is_replay = "request" if replay else None
    return made


@pytest.mark.parametrize(
    ("mode", "replay", "modes", "listener"),
    [
        (THEN, False, [TODAY], THEN),
        (THEN, True, [TODAY], TODAY),
        (THEN, True, ["regular", TODAY, THEN], THEN),
        (THEN, True, ["regular"], THEN),
        ("regular", True, [TODAY], None),
        ("regular", False, ["regular"], None),
    ],
)
def test_listener(mode, replay, modes, listener):
    found = listener_of(flow(mode, replay), modes)
    assert (found and found.full_spec) == listener
