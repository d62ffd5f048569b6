"""Upstreams behind an HTTP proxy, which the environment names as for other programs."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from e2e.environment import ROOT, UPSTREAM_KEY, clean_environment
from e2e.forward_proxy import ForwardProxy
from e2e.gateway import GatewayProcess
from upstream import Script, ScriptedUpstream, error, reply

HOST = "llm.example"
CONFIG = f"""
connect_timeout: 3
retries: 1
providers:
  far: {{{{base_url: "https://{HOST}/v1", api_key_env: TEST_UPSTREAM_KEY}}}}
  mute: {{{{base_url: "https://{HOST}:8443/v1", api_key_env: TEST_UPSTREAM_KEY}}}}
  plain: {{{{base_url: "http://{HOST}/v1", api_key_env: TEST_UPSTREAM_KEY}}}}
  near: {{{{base_url: "{{near}}/v1", api_key_env: TEST_UPSTREAM_KEY}}}}
  excepted: {{{{base_url: "https://excepted.invalid/v1", api_key_env: TEST_UPSTREAM_KEY}}}}
"""


@pytest.fixture(scope="module")
def way(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForwardProxy]:
    with ForwardProxy(tmp_path_factory.mktemp("way") / "proxy", HOST, upstream.url) as proxy:
        yield proxy


@pytest.fixture
def forward_proxy(way: ForwardProxy) -> ForwardProxy:
    way.behaviour = "serves"
    way.heads.clear()
    return way


def environment(way: ForwardProxy) -> dict[str, str]:
    return {
        "HTTPS_PROXY": way.url_with_login,
        "http_proxy": way.url_with_login,
        "NO_PROXY": ".invalid",
        "TEST_UPSTREAM_KEY": UPSTREAM_KEY,
        "SSL_CERT_FILE": str(way.authority),
    }


@pytest.fixture(scope="module")
def behind(
    way: ForwardProxy, upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    home = tmp_path_factory.mktemp("behind")
    (home / "config.yaml").write_text(CONFIG.format(near=upstream.url))
    options = {
        "gateway_config": str(home / "config.yaml"),
        "ssl_verify_upstream_trusted_ca": str(way.authority),
        "gateway_upstream_log": str(home / "upstream.jsonl"),
        "gateway_upstream_rest": "60",
    }
    with GatewayProcess(upstream.url, home, options, environment=environment(way)) as process:
        yield process
        assert not process.faults(), f"the gateway's log has a fault:\n{process.log}"
        kept = process.log + (home / "upstream.jsonl").read_text()
        assert "p%40ss" not in kept
        assert "p@ss" not in kept
        assert "proxy-authorization" not in kept.lower()


def ask(gateway: GatewayProcess, model: str, path: str = "/v1/responses", **more: Any) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    connection.request("POST", path, json.dumps({"model": model, "input": "hi", **more}))
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body.decode() if more.get("stream") else json.loads(body)


def of_turns(proxy: ForwardProxy) -> list[str]:
    """What the proxy was asked for turns; the gateway asks for lists of models as well, when it likes."""
    return [head for head in proxy.heads if "aiohttp" not in head and not head.startswith("GET ")]


def said(answer: tuple[int, Any]) -> str:
    status, body = answer
    assert status == 200, body
    text: str = body["output"][0]["content"][0]["text"]
    return text


def test_a_tunnel_for_tls(behind: GatewayProcess, forward_proxy: ForwardProxy, script: Script) -> None:
    script.answer(reply(text="One."), reply(text="Two, and some more words."))
    assert said(ask(behind, f"far/{script.model}")) == "One."
    assert "response.completed" in ask(behind, f"far/{script.model}", stream=True)[1]
    tunnels = of_turns(forward_proxy)
    assert len(tunnels) == 2
    assert all(head.startswith(f"CONNECT {HOST}:443 ") for head in tunnels)
    assert UPSTREAM_KEY not in str(forward_proxy.heads)
    assert {request.headers["authorization"] for request in script.requests} == {f"Bearer {UPSTREAM_KEY}"}
    assert "proxy-authorization" not in script.requests[-1].headers


def test_plain_http_without_a_tunnel(behind: GatewayProcess, forward_proxy: ForwardProxy, script: Script) -> None:
    script.answer(reply(text="Plain."), reply(text="Streamed, in some more words."))
    assert said(ask(behind, f"plain/{script.model}")) == "Plain."
    assert "response.completed" in ask(behind, f"plain/{script.model}", stream=True)[1]
    assert any(head.startswith(f"POST http://{HOST}/v1/chat/completions ") for head in forward_proxy.heads)
    assert {request.headers["host"] for request in script.requests} == {HOST}


def test_what_is_reached_without(
    behind: GatewayProcess, forward_proxy: ForwardProxy, upstream: ScriptedUpstream, script: Script
) -> None:
    script.answer(reply(text="Near."))
    assert said(ask(behind, f"near/{script.model}")) == "Near."
    status, body = ask(behind, "excepted/m")
    assert status >= 400
    assert "excepted.invalid" in body["error"]["message"]
    assert "proxy" not in body["error"]["message"]
    asked = str(forward_proxy.heads)
    assert "excepted.invalid" not in asked
    assert upstream.url.removeprefix("http://") not in asked


def test_a_kept_tunnel_is_used_again(behind: GatewayProcess, forward_proxy: ForwardProxy, script: Script) -> None:
    script.answer(reply(text="One."), error(503, "busy"), reply(text="Two."))
    connection = HTTPConnection("127.0.0.1", behind.port, timeout=60)
    for expected in ("One.", "Two."):
        connection.request("POST", "/v1/responses", json.dumps({"model": f"far/{script.model}", "input": "hi"}))
        body = json.loads(connection.getresponse().read())
        assert body["output"][0]["content"][0]["text"] == expected
    connection.close()
    assert len(of_turns(forward_proxy)) < len(script.requests)


@pytest.mark.parametrize(
    ("behaviour", "provider", "status", "words"),
    [
        ("403 Forbidden by policy", "far", 400, "NO_PROXY"),
        ("407 Proxy Authentication Required", "far", 400, "user and password"),
        ("407 Proxy Authentication Required", "plain", 400, "user and password"),
        ("502 Bad Gateway", "far", 502, "502 Bad Gateway"),
        ("cuts", "far", 502, "connection closed"),
    ],
)
def test_a_proxy_that_fails_is_named(
    behaviour: str,
    provider: str,
    status: int,
    words: str,
    behind: GatewayProcess,
    forward_proxy: ForwardProxy,
    script: Script,
) -> None:
    forward_proxy.behaviour = behaviour
    got, body = ask(behind, f"{provider}/{script.model}")
    message = body["error"]["message"]
    assert (got, words in message) == (status, True), body
    assert f"through the proxy {forward_proxy.url}" in message
    assert f"{provider} (" in message
    assert "p@ss" not in message
    forward_proxy.behaviour = "serves"
    script.answer(reply(text="Again."))
    assert said(ask(behind, f"{provider}/{script.model}")) == "Again."


def test_what_a_proxy_does_is_not_held_against_the_upstream(
    behind: GatewayProcess, forward_proxy: ForwardProxy, script: Script
) -> None:
    """An upstream that fails five times over some seconds rests; the proxy's failures count for none of it."""
    forward_proxy.behaviour = "cuts"
    for _ in range(8):
        assert "is not asked again" not in str(ask(behind, f"far/{script.model}"))
    forward_proxy.behaviour = "serves"
    script.answer(reply(text="Here."))
    assert said(ask(behind, f"far/{script.model}")) == "Here."


def test_a_relayed_request_names_the_proxy(behind: GatewayProcess, forward_proxy: ForwardProxy, script: Script) -> None:
    forward_proxy.behaviour = "403 Forbidden"
    messages = [{"role": "user", "content": "hi"}]
    _, body = ask(behind, f"far/{script.model}", "/v1/chat/completions", messages=messages)
    assert f"through the proxy {forward_proxy.url}" in body["error"]["message"]


def test_a_proxy_that_hangs(behind: GatewayProcess, forward_proxy: ForwardProxy) -> None:
    """Nothing tells whether it is the proxy that is silent or the host behind it, which therefore rests."""
    forward_proxy.behaviour = "hangs"
    status, body = ask(behind, "mute/m")
    assert status == 503
    way = f"through the proxy {forward_proxy.url} within 3 s (gateway_connect_timeout)"
    assert way in body["error"]["message"]
    while not forward_proxy.held.empty():
        assert_closed(forward_proxy.held.get())


def test_clients_that_leave_a_proxy_that_hangs(behind: GatewayProcess, forward_proxy: ForwardProxy) -> None:
    forward_proxy.behaviour = "hangs"
    body = json.dumps({"model": "far/m", "input": "hi", "stream": True})
    for _ in range(3):
        client = HTTPConnection("127.0.0.1", behind.port, timeout=60)
        client.request("POST", "/v1/responses", body)
        held = forward_proxy.held.get(timeout=60)
        client.close()
        assert_closed(held)


def assert_closed(held: socket.socket) -> None:
    with held:
        held.settimeout(60)
        assert held.recv(1) == b""


@pytest.mark.parametrize("value", ["socks5://me:secret@127.0.0.1:1", "http://me:secret@127.0.0.1:port"])
def test_what_is_no_proxy_is_refused_at_the_start(value: str, tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("mitmdump"), "-s", ROOT / "addon" / "gateway.py"]
    command += ["--mode", "reverse:http://127.0.0.1:1", "--listen-port", "0", "--set", f"confdir={tmp_path}"]
    (tmp_path / "empty").touch()
    ended = subprocess.run(
        [*command, "-r", tmp_path / "empty"],
        env=clean_environment(tmp_path, {"ALL_PROXY": value}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode != 0, said
    assert "environment variable ALL_PROXY" in said
    assert "secret" not in said
