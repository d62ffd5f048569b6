"""Requests at the door: what a flow that may not go on is answered, and what web pages get to read."""

import json
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow

from responses_gateway.access.access_control import AccessControl
from responses_gateway.access.rules import Access
from responses_gateway.settings.settings import Settings

KEY = "a-key-of-the-gateway"
PAGE = "https://page.example"
DOOR = AccessControl(
    lambda: Access.of(Settings(access_keys=[KEY], allowed_origins=[PAGE + "/"], allowed_hosts=["Gate.example"]))
)


def asked(
    path: str = "/v1/responses", method: str = "POST", host: str = "localhost:8080", door: Any = DOOR, **headers: str
) -> http.HTTPFlow:
    flow = tflow.tflow()
    flow.client_conn.proxy_mode = ProxyMode.parse("reverse:http://upstream")
    flow.client_conn.sockname = ("192.0.2.1", 8080)
    flow.request.method, flow.request.path = method, path
    flow.request.headers = http.Headers(host=host, **headers)
    door.requestheaders(flow)
    return flow


def answered(flow: http.HTTPFlow) -> tuple[int, str]:
    """The status and the error's code."""
    assert flow.response is not None
    return flow.response.status_code, json.loads(flow.response.content or b"")["error"]["code"]


def test_a_key_opens_and_names_its_owner() -> None:
    flow = asked(authorization=f"Bearer {KEY}")
    assert flow.response is None
    assert DOOR.owner(flow)
    assert DOOR.owner(flow) == DOOR.owner(asked(x_api_key=KEY))
    assert DOOR.owner(tflow.tflow()) == ""


def test_without_a_key_one_is_asked_for_one() -> None:
    flow = asked()
    assert answered(flow) == (401, "invalid_api_key")
    assert flow.response is not None
    assert flow.response.headers["www-authenticate"] == "Bearer"
    assert flow.response.headers["content-type"] == "application/json"
    assert json.loads(flow.response.content or b"")["error"]["type"] == "authentication_error"
    assert DOOR.owner(flow) == ""


@pytest.mark.parametrize(
    ("path", "opens"),
    [
        ("/health", True),
        ("/v1/health", True),
        ("/healthz/", True),
        ("/readyz?x=1", True),
        ("/health/x", False),
        ("/healthz?x=verbose", True),
        ("/healthz?verbose", False),
        ("/healthz?x=1&verb%6fse=0", False),
        ("/v1/health/?verbose=1", False),
    ],
)
def test_health_is_for_everybody_and_its_details_are_not(path: str, opens: bool) -> None:
    assert (asked(path, "GET").response is None) is opens


@pytest.mark.parametrize(
    ("host", "opens"),
    [("gate.example", True), ("GATE.example:8080", True), ("192.0.2.1:8080", True), ("evil.example", False)],
)
def test_only_names_of_ours_are_answered_to(host: str, opens: bool) -> None:
    flow = asked(host=host, x_api_key=KEY)
    assert (flow.response is None) is opens
    if not opens:
        assert answered(flow) == (421, "host_not_allowed")
        assert flow.response is not None
        assert "www-authenticate" not in flow.response.headers


def test_pages_of_others_are_refused_even_with_a_key() -> None:
    assert answered(asked(origin="https://evil.example", x_api_key=KEY)) == (403, "origin_not_allowed")
    assert answered(asked(sec_fetch_site="cross-site", x_api_key=KEY)) == (403, "origin_not_allowed")
    assert asked(sec_fetch_site="same-origin", x_api_key=KEY).response is None
    assert asked(sec_fetch_site="cross-site", origin=PAGE, x_api_key=KEY).response is None


def test_an_allowed_page_may_ask_before_it_has_a_key() -> None:
    headers = {"access_control_request_method": "POST", "access_control_request_headers": "x-a, x-b"}
    flow = asked(method="OPTIONS", origin=PAGE, **headers)
    assert flow.response is not None
    assert flow.response.status_code == 204
    assert flow.response.headers["access-control-allow-methods"] == "GET, POST, DELETE"
    assert flow.response.headers["access-control-allow-headers"] == "x-a, x-b"
    assert flow.response.headers["access-control-max-age"] == "600"
    DOOR.responseheaders(flow)
    assert flow.response.headers["access-control-allow-origin"] == PAGE
    assert flow.response.headers["vary"] == "origin"


def test_what_only_looks_like_a_preflight_needs_a_key() -> None:
    assert answered(asked(method="OPTIONS", origin=PAGE))[0] == 401
    assert answered(asked(method="POST", origin=PAGE, access_control_request_method="POST"))[0] == 401
    other = asked(method="OPTIONS", origin="https://evil.example", access_control_request_method="POST")
    assert answered(other)[0] == 403


@pytest.mark.parametrize("hook", ["responseheaders", "response"])
def test_an_allowed_page_reads_every_answer_and_others_none(hook: str) -> None:
    for flow, named in (
        (asked(origin=PAGE, x_api_key=KEY), PAGE),
        (asked(x_api_key=KEY), None),
        (asked(origin=PAGE), PAGE),
    ):
        flow.response = flow.response or http.Response.make(200)
        getattr(DOOR, hook)(flow)
        assert flow.response.headers.get("access-control-allow-origin") == named
    flow = asked(origin=PAGE, x_api_key=KEY)
    getattr(DOOR, hook)(flow)
    assert flow.response is None


def test_replays_and_other_modes_are_not_at_this_door() -> None:
    flow = tflow.tflow()
    flow.client_conn.proxy_mode = ProxyMode.parse("regular")
    DOOR.requestheaders(flow)
    assert flow.response is None
    flow.client_conn.proxy_mode = ProxyMode.parse("reverse:http://upstream")
    flow.is_replay = "request"
    DOOR.requestheaders(flow)
    assert flow.response is None


def test_a_door_that_is_broken_is_shut() -> None:
    class Broken(Access):
        def check(self, *_: object) -> None:
            raise RuntimeError("a bug")

    door = AccessControl(lambda: Broken((), (), ()))
    flow = asked(door=door)
    assert flow.response is not None
    assert flow.response.status_code == 500
