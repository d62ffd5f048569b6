"""Who may use the gateway, as seen on the wire."""

import json
from http.client import HTTPConnection
from typing import NamedTuple

import pytest

from e2e.gateway import GatewayProcess, StartGateway
from upstream import Script, reply

KEY = "gw-key-1"


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        code: str | None = json.loads(self.body)["error"]["code"]
        return code


def ask(gateway: GatewayProcess, method: str, path: str, body: object = None, **headers: str) -> Answered:
    """One request; underscores in header names are hyphens."""
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    try:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, None if body is None else json.dumps(body), fields)
        response = connection.getresponse()
        return Answered(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
    finally:
        connection.close()


@pytest.fixture
def locked(start_gateway: StartGateway) -> GatewayProcess:
    return start_gateway({"gateway_access_keys": f"other,{KEY}", "gateway_allowed_origins": "https://app.example"})


def test_access_keys(locked: GatewayProcess, script: Script) -> None:
    script.answer(reply(text="a"), reply(text="b"))
    body = {"model": script.model, "input": "hi"}
    assert ask(locked, "POST", "/v1/responses", body).code == "invalid_api_key"
    assert ask(locked, "POST", "/v1/responses", body, authorization="Bearer wrong").status == 401
    assert ask(locked, "POST", "/v1/chat/completions", body, x_api_key=KEY[:-1]).status == 401
    assert ask(locked, "GET", "/v1/models").status == 401
    assert ask(locked, "GET", "/nowhere").status == 401
    assert not script.requests
    assert ask(locked, "POST", "/v1/responses", body, authorization=f"bearer {KEY}").status == 200
    assert ask(locked, "POST", "/v1/responses", body, x_api_key=KEY).status == 200
    assert ask(locked, "GET", "/v1/models", x_api_key="other").status == 200
    assert [ask(locked, "GET", path).status for path in ("/health", "/healthz", "/v1/health", "/readyz")] == [200] * 4
    assert ask(locked, "GET", "/healthz?verbose").status == 401
    assert ask(locked, "GET", "/healthz?verbose", x_api_key=KEY).status == 200
    for request in script.requests:
        assert KEY not in str(request.headers)
        assert "authorization" not in request.headers


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions", "/v1/models"])
def test_a_key_that_is_no_text_lets_nobody_in(locked: GatewayProcess, script: Script, path: str) -> None:
    for value in (b"Bearer \xff", b"\xff", b"Bearer \xed\xa0\x80"):
        connection = HTTPConnection("127.0.0.1", locked.port, timeout=60)
        connection.request("POST", path, json.dumps({"model": script.model}), {"authorization": value})
        assert connection.getresponse().status == 401
        connection.close()
    assert not script.requests


def test_nothing_is_shared_between_access_keys(locked: GatewayProcess, script: Script) -> None:
    """All clients send the same Authorization, and the same session."""
    script.answer(reply(text="a"), reply(text="b"), reply(text="c"))
    tool = {"type": "function", "name": "tool_of_one", "parameters": {"type": "object", "properties": {}}}
    body = {"model": script.model, "input": "hi", "prompt_cache_key": "shared"}
    one = {"authorization": "Bearer any", "x_api_key": KEY}
    two = {"authorization": "Bearer any", "x_api_key": "other"}
    made = json.loads(ask(locked, "POST", "/v1/responses", {**body, "tools": [tool]}, **one).body)
    path = f"/v1/responses/{made['id']}"
    assert ask(locked, "GET", path, **two).status == 404
    assert ask(locked, "GET", f"{path}/input_items", **two).status == 404
    assert ask(locked, "DELETE", path, **two).status == 404
    continued = {**body, "previous_response_id": made["id"]}
    assert ask(locked, "POST", "/v1/responses", continued, **two).code == "previous_response_not_found"
    other = {**tool, "name": "tool_of_two"}
    assert ask(locked, "POST", "/v1/responses", {**body, "tools": [other]}, **two).status == 200
    assert "tool_of_one" not in json.dumps(script.requests[-1].body)
    assert ask(locked, "POST", "/v1/responses", continued, authorization=f"Bearer {KEY}").status == 200


def test_foreign_hosts_and_origins(gateway: GatewayProcess, script: Script) -> None:
    script.answer(reply(text="a"), reply(text="b"))
    body = {"model": script.model, "input": "hi"}
    port = gateway.port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "10.1.2.3"):
        assert ask(gateway, "POST", "/v1/responses", body, host=host).code == "host_not_allowed"
    for origin in ("https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1"):
        refused = ask(gateway, "POST", "/v1/responses", body, origin=origin)
        assert (refused.status, refused.code) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in refused.headers
    preflight = {"origin": "https://evil.example", "access_control_request_method": "POST"}
    assert ask(gateway, "OPTIONS", "/v1/responses", **preflight).status == 403
    assert not script.requests
    assert ask(gateway, "POST", "/v1/responses", body, host=f"localhost:{port}").status == 200
    assert ask(gateway, "POST", "/v1/responses", body, origin=f"http://127.0.0.1:{port}").status == 200


def test_an_allowed_origin(locked: GatewayProcess, script: Script) -> None:
    script.answer(reply(text="a"), reply(text="b"))
    app = "https://app.example"
    preflight = ask(
        locked,
        "OPTIONS",
        "/v1/responses",
        origin=app,
        access_control_request_method="POST",
        access_control_request_headers="authorization, content-type",
    )
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-headers"] == "authorization, content-type"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for stream in (False, True):
        body = {"model": script.model, "input": "hi", "stream": stream, "service_tier": "flex"}
        answered = ask(locked, "POST", "/v1/responses", body, origin=app, x_api_key=KEY)
        assert answered.status == 200
        assert answered.headers["access-control-allow-origin"] == app
        exposed = answered.headers["access-control-expose-headers"]
        assert answered.headers[exposed] == "dropped service_tier"
    refused = ask(locked, "POST", "/v1/responses", {}, origin=app)
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, app)


def test_another_host_name_can_be_allowed(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"gateway_allowed_hosts": "*.lan"})
    assert ask(gateway, "GET", "/healthz", host="box.lan:4141").status == 200
    assert ask(gateway, "GET", "/healthz", host="box.land").status == 421
