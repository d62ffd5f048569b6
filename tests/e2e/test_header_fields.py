"""What clients say never becomes more of an upstream request than it was meant for."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from e2e.gateway import GatewayProcess
from e2e.socket_client import open_socket
from upstream import Script, ScriptedUpstream, reply

SMUGGLED = "s\r\ncontent-length: 0\r\n\r\nDELETE /v1/account HTTP/1.1\r\nhost: upstream\r\n\r\n"
VALUES = pytest.mark.parametrize(
    "value", [SMUGGLED, "a\0b", "東京 größe", "plain"], ids=["crlf", "nul", "utf8", "plain"]
)


@pytest.fixture(scope="module")
def go(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway whose profile sends the client's session in a header."""
    with GatewayProcess(upstream.url, tmp_path_factory.mktemp("go"), {"gateway_provider": "opencode-go"}) as process:
        yield process
        assert not process.faults(), process.log


def post(gateway: GatewayProcess, path: str, body: Any, headers: dict[str, Any] | None = None) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    try:
        connection.request("POST", path, json.dumps(body), headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def session_sent(script: Script, value: str) -> None:
    sent = script.request.headers["x-opencode-session"]
    assert sent == value if value == "plain" else sent.isalnum()
    assert script.request.body["model"] == script.model


@VALUES
def test_a_cache_key_of_a_response(go: GatewayProcess, script: Script, value: str) -> None:
    script.answer(reply(text="a"))
    status, _ = post(go, "/v1/responses", {"model": script.model, "input": "hi", "prompt_cache_key": value})
    assert status == 200
    session_sent(script, value)


@VALUES
def test_a_cache_key_of_a_chat_completion(go: GatewayProcess, script: Script, value: str) -> None:
    script.answer(reply(text="a"))
    body = {"model": script.model, "messages": [{"role": "user", "content": "hi"}], "prompt_cache_key": value}
    status, _ = post(go, "/v1/chat/completions", body)
    assert status == 200
    session_sent(script, value)


@VALUES
def test_a_cache_key_over_a_websocket(go: GatewayProcess, script: Script, value: str) -> None:
    script.answer(reply(text="a"))
    with open_socket(go.url) as socket:
        events = socket.turn(model=script.model, input="hi", prompt_cache_key=value)
    assert events[-1]["type"] == "response.completed"
    session_sent(script, value)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_bytes_in_a_session_header_that_are_no_text(go: GatewayProcess, script: Script, path: str) -> None:
    script.answer(reply(text="a"))
    body = {"model": script.model, "input": "hi", "messages": [{"role": "user", "content": "hi"}]}
    status, _ = post(go, path, body, {"session-id": b"\xff\xfe caf\xe9"})
    assert status == 200
    assert script.request.headers["x-opencode-session"].isalnum()
