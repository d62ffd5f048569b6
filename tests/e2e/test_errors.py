"""Requests that cannot be answered get JSON in OpenAI's error shape, whatever is wrong with them."""

import json
import socket
from http.client import HTTPConnection
from typing import Any

import pytest

from e2e.gateway import GatewayProcess, StartGateway
from upstream import Answer, Script, error, reply

JSON = {"content-type": "application/json"}


def send(
    gateway: GatewayProcess, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], Any]:
    """One request; status, headers (lower case) and the parsed JSON body. Fails when the answer is not JSON."""
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    try:
        connection.request(method, path, body, headers or JSON)
        response = connection.getresponse()
        got = {name.lower(): value for name, value in response.getheaders()}
        raw = response.read()
    finally:
        connection.close()
    assert got["content-type"].startswith("application/json"), f"{response.status} {got}: {raw[:500]!r}"
    return response.status, got, json.loads(raw)


def refusal(
    gateway: GatewayProcess, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """One request that must be refused; status and error object, whose shape is checked."""
    status, _, answer = send(gateway, method, path, body, headers)
    assert set(answer) == {"error"}
    assert set(answer["error"]) >= {"message", "type", "param", "code"}
    assert answer["error"]["message"]
    return status, answer["error"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"not json", b"\xff\xfe", b"[]", b'"text"', b"null", b"7"],
    ids=["empty", "cut off", "text", "not utf-8", "array", "string", "null", "number"],
)
def test_not_a_json_object(gateway: GatewayProcess, body: bytes) -> None:
    status, error = refusal(gateway, "POST", "/v1/responses", body)
    assert status == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] is None


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"model": ["scripted"]}, "model"),
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": {"role": "user"}}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"tools": "exec"}, "tools"),
        ({"tools": [5]}, "tools[0]"),
        ({"stream": "yes"}, "stream"),
        ({"temperature": "warm"}, "temperature"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
        ({"instructions": 5}, "instructions"),
        ({"reasoning": "hard"}, "reasoning"),
        ({"text": "json"}, "text"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_wrong_or_missing_field(gateway: GatewayProcess, changes: dict[str, Any], param: str) -> None:
    fields = {"model": "scripted", "input": "hi", **changes}
    body = {name: value for name, value in fields.items() if value is not None}
    status, error = refusal(gateway, "POST", "/v1/responses", json.dumps(body).encode())
    assert status == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert param.split("[")[0] in error["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/favicon.ico"),
        ("POST", "/v1/nothing"),
        ("GET", "/v1/response"),
        ("PUT", "/response"),
    ],
)
def test_unknown_path(gateway: GatewayProcess, method: str, path: str) -> None:
    status, error = refusal(gateway, method, path, b"{}" if method == "POST" else None)
    assert status == 404
    assert path in error["message"]


def test_known_path_with_another_method(gateway: GatewayProcess) -> None:
    status, error = refusal(gateway, "PUT", "/v1/responses", b"{}")
    assert status == 405
    assert "PUT" in error["message"]


UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "openai-beta": "responses_websockets=2026-02-06",
}


def test_websocket_upgrade_when_it_is_disabled(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"gateway_websocket": "false"})
    status, _ = refusal(gateway, "GET", "/v1/responses", headers=UPGRADE)
    assert status == 426


@pytest.mark.parametrize("wrong", [{"sec-websocket-version": "8"}, {"sec-websocket-key": ""}])
def test_websocket_upgrade_that_is_none(gateway: GatewayProcess, wrong: dict[str, str]) -> None:
    status, error = refusal(gateway, "GET", "/v1/responses", headers={**UPGRADE, **wrong})
    assert status == 426
    assert "Sec-WebSocket" in error["message"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("status", "message"), [(400, "no such parameter"), (401, "wrong key"), (429, "slow down"), (500, "it broke")]
)
def test_refusal_of_the_upstream(
    gateway: GatewayProcess, script: Script, stream: bool, status: int, message: str
) -> None:
    script.always(error(status, message, {"retry-after": "7"}))
    body = {"model": script.model, "input": "hi", "stream": stream}
    seen, headers, answer = send(gateway, "POST", "/v1/responses", json.dumps(body).encode())
    assert seen >= 400
    assert message in answer["error"]["message"]
    if status == 429:
        assert (seen, headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize("stream", [True, False])
def test_upstream_that_answers_html(gateway: GatewayProcess, script: Script, stream: bool) -> None:
    script.always(html_page(502))
    body = {"model": script.model, "input": "hi", "stream": stream}
    status, _ = refusal(gateway, "POST", "/v1/responses", json.dumps(body).encode())
    assert status == 502


@pytest.mark.parametrize("stream", [True, False])
def test_upstream_that_is_down(start_gateway: StartGateway, stream: bool) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gateway = start_gateway(url=f"http://127.0.0.1:{closed.getsockname()[1]}")
        body = {"model": "scripted", "input": "hi", "stream": stream}
        status, _ = refusal(gateway, "POST", "/v1/responses", json.dumps(body).encode())
    assert status in (502, 503)


def html_page(status: int) -> Answer:
    return Answer([b"<html><body>Bad gateway</body></html>"], status, {"content-type": "text/html"}, "length")


def test_the_gateway_still_works_after_a_refusal(gateway: GatewayProcess, script: Script) -> None:
    script.answer(reply(text="Fine."))
    refusal(gateway, "POST", "/v1/responses", b"{")
    body = {"model": script.model, "input": "hi"}
    status, _, answer = send(gateway, "POST", "/v1/responses", json.dumps(body).encode())
    assert status == 200
    assert answer["output"][-1]["content"][0]["text"] == "Fine."
