"""The gateway as a proxy: clients that go to OpenAI are answered in place, and everything else passes untouched."""

import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import zstandard

from e2e.codex import LATEST, Codex
from e2e.environment import API_KEY, ROOT, UPSTREAM_KEY, clean_environment
from e2e.mitmweb import MitmwebProcess
from e2e.proxy import Proxy, ask, over_socks, over_tls, read_all
from e2e.tls_server import TlsServer
from upstream import Script, ScriptedUpstream, reply

CLIENT = Path(__file__).with_name("clients") / "openai_through_proxy.py"
OPENAI = "https://api.openai.com"


@pytest.fixture(scope="module")
def proxy(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Proxy(upstream.url, tmp_path_factory.mktemp("proxy") / "home") as process:
        yield process
        assert not process.faults(), f"the gateway's log has a fault:\n{process.log}"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    with TlsServer(tmp_path_factory.mktemp("other") / "server", ["localhost", "127.0.0.1"]) as server:
        yield server


# Real clients ---------------------------------------------------------------------------------------------------------


def test_openai_python_with_nothing_but_its_environment(proxy: Proxy, script: Script, tmp_path: Path) -> None:
    script.answer(reply(text="One."), reply(text="Two."), reply(text="Three."))
    command = [sys.executable, CLIENT, script.model]
    ended = subprocess.run(command, env=proxy.environment(tmp_path), capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert (said["whole"], said["streamed"], said["over_socket"]) == ("One.", "Two.", "Three.")
    assert script.model in said["models"]
    assert [request.text("user") for request in script.requests] == ["whole", "streamed", "socket"]
    assert {request.headers["authorization"] for request in script.requests} == {f"Bearer {UPSTREAM_KEY}"}


def test_codex_with_its_default_provider(proxy: Proxy, script: Script, tmp_path: Path) -> None:
    codex = Codex(LATEST, "", tmp_path / "codex", proxied_by=proxy.environment(tmp_path / "codex"))
    script.answer(reply(calls=[codex.shell("echo through-the-proxy")]), reply(text="It ran."))
    run = codex.exec("run it", script.model, timeout=120).succeeded()
    assert run.messages == ["It ran."]
    assert "through-the-proxy" in run.items("command_execution")[0]["aggregated_output"]
    assert "dummy" not in str([request.headers for request in script.requests])


# What is answered -----------------------------------------------------------------------------------------------------


def test_a_body_of_codex_with_chatgpt_login(proxy: Proxy, script: Script) -> None:
    script.answer(reply(text="Hello."))
    body = zstandard.compress(json.dumps({"model": script.model, "input": "hi"}).encode())
    url, headers = "https://chatgpt.com/backend-api/codex/responses", {"content-encoding": "zstd"}
    answer = ask(proxy, url, proxy.authority, body, {**headers, "chatgpt-account-id": "account-of-mine"})
    assert answer.json["status"] == "completed"
    sent = script.request.headers
    assert sent["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert "account-of-mine" not in str(sent)


@pytest.mark.parametrize(
    "url",
    [
        "https://me.openai.azure.com/openai/v1/responses",
        "https://openrouter.ai/api/v1/responses",
        "https://eu.api.openai.com/v1/responses",
    ],
)
def test_other_hosts_of_the_api(proxy: Proxy, script: Script, url: str) -> None:
    script.answer(reply(text="Hello."))
    assert ask(proxy, url, proxy.authority, {"model": script.model, "input": "hi"}).json["status"] == "completed"


def test_a_background_response(proxy: Proxy, script: Script) -> None:
    script.answer(reply(text="Later."))
    body = {"model": script.model, "input": "hi", "background": True, "stream": True}
    answer = ask(proxy, f"{OPENAI}/v1/responses", proxy.authority, body)
    assert b"response.completed" in answer.body
    assert b"Later." in answer.body


def test_a_plain_http_api_that_the_user_names(upstream: ScriptedUpstream, script: Script, tmp_path: Path) -> None:
    script.answer(reply(text="Hello."))
    options = {"gateway_intercept": "llm.example/api"}
    body = json.dumps({"model": script.model, "input": "hi"})
    head = (
        f"POST http://llm.example/api/responses HTTP/1.1\r\nHost: llm.example\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with (
        Proxy(upstream.url, tmp_path / "home", options) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), 60) as connection,
    ):
        connection.sendall((head + body).encode())
        assert b'"status":"completed"' in read_all(connection)


def test_socks(upstream: ScriptedUpstream, other: TlsServer, script: Script, tmp_path: Path) -> None:
    script.answer(reply(text="Hello."))
    body = json.dumps({"model": script.model, "input": "hi"})
    with Proxy(upstream.url, tmp_path / "home", mode="socks5") as proxy:
        answered = over_socks(proxy, "api.openai.com", 443, proxy.authority, "/v1/responses", body)
        passed = over_socks(proxy, "localhost", other.port, other.authority, "/", "")
    assert '"status":"completed"' in answered
    assert "the other server" in passed


def test_an_upstream_proxy(upstream: ScriptedUpstream, other: TlsServer, script: Script, tmp_path: Path) -> None:
    """Turns go to the upstream, which is this machine; everything else goes through the next proxy, and passes it."""
    script.answer(reply(text="Hello."))
    with (
        Proxy(upstream.url, tmp_path / "next") as following,
        Proxy(upstream.url, tmp_path / "home", mode=f"upstream:{following.url}") as proxy,
    ):
        body = {"model": script.model, "input": "hi"}
        answered = ask(proxy, f"{OPENAI}/v1/responses", proxy.authority, body)
        passed = ask(proxy, f"https://localhost:{other.port}/", other.authority)
        following.wait_log("client connect")
    assert answered.json["status"] == "completed"
    assert (passed.issuer, passed.body) == ("other", b"the other server")


def test_a_reverse_proxy_and_a_proxy_in_one_process(upstream: ScriptedUpstream, script: Script, tmp_path: Path) -> None:
    script.answer(reply(text="One."), reply(text="Two."))
    body = {"model": script.model, "input": "hi"}
    home = tmp_path / "home"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    reverse = ["--mode", f"reverse:{upstream.url}@127.0.0.1:{port}"]
    with Proxy(upstream.url, home, {"gateway_upstream": ""}, reverse) as proxy:
        through = ask(proxy, f"{OPENAI}/v1/responses", proxy.authority, body)
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            sent = json.dumps(body)
            head = f"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(sent)}\r\nConnection: close"
            connection.sendall(f"{head}\r\n\r\n{sent}".encode())
            straight = read_all(connection)
    assert through.json["status"] == "completed"
    assert b'"status":"completed"' in straight


# What passes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_tls_of_another_host_is_not_intercepted(proxy: Proxy, other: TlsServer, host: str) -> None:
    answer = ask(proxy, f"https://{host}:{other.port}/v1/responses", other.authority, {"model": "m"})
    assert (answer.issuer, answer.body) == ("other", b"the other server")
    assert f"bearer {API_KEY}" in other.heads[-1]


def test_other_requests_to_an_intercepted_host_pass(
    upstream: ScriptedUpstream, other: TlsServer, script: Script, tmp_path: Path
) -> None:
    script.answer(reply(text="Hello."))
    options = {
        "gateway_intercept": "shipped,localhost/v1",
        "gateway_body_limit": "1KiB",
        "ssl_verify_upstream_trusted_ca": str(other.authority),
    }
    with Proxy(upstream.url, tmp_path / "home", options) as proxy:
        host = f"https://localhost:{other.port}"
        passed = ask(proxy, f"{host}/v1/files", proxy.authority, headers={"x-mine": "1"})
        answered = ask(proxy, f"{host}/v1/responses", proxy.authority, {"model": script.model, "input": "hi"})
        large = ask(proxy, f"{host}/v1/files", proxy.authority, bytes(4096))
    assert (passed.issuer, passed.body) == ("mitmproxy", b"the other server")
    assert f"authorization: bearer {API_KEY}" in other.heads[-2]
    assert answered.json["status"] == "completed"
    assert large.body == b"the other server"


def test_hosts_of_the_users_own_choice(proxy: Proxy, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """ignore_hosts keeps even OpenAI's hosts from the gateway: there is no network, so nobody answers."""
    arguments = ["--ignore-hosts", r"api\.openai\.com"]
    with (
        Proxy(upstream.url, tmp_path / "home", arguments=arguments) as mine,
        pytest.raises((OSError, ssl.SSLError)),
    ):
        ask(mine, f"{OPENAI}/v1/models", mine.authority)


def test_mitmweb_lists_only_what_is_answered(
    upstream: ScriptedUpstream, other: TlsServer, script: Script, tmp_path: Path
) -> None:
    script.answer(reply(text="Hello."))
    home = tmp_path / "web"
    home.mkdir()
    options = {"gateway_intercept": "shipped,localhost/v1", "ssl_verify_upstream_trusted_ca": str(other.authority)}
    with MitmwebProcess(upstream.url, home, options, mode="regular") as proxy:
        authority = home / "mitmproxy-ca-cert.pem"
        ask(proxy, f"https://127.0.0.1:{other.port}/", other.authority)
        assert ask(proxy, f"https://localhost:{other.port}/v1/files", authority).body == b"the other server"
        ask(proxy, f"{OPENAI}/v1/responses", authority, {"model": script.model, "input": "hi"})
        paths = [flow["request"]["path"] for flow in proxy.flows() if flow["type"] == "http"]
        kinds = {flow["type"] for flow in proxy.flows()}
    assert paths == ["/v1/responses"]
    assert kinds == {"http"}


# Keys -----------------------------------------------------------------------------------------------------------------

FORWARDING = """
providers:
  mine: {{base_url: "{url}/v1", forward_authorization: true}}
"""


def test_the_clients_key_goes_to_no_other_provider(upstream: ScriptedUpstream, script: Script, tmp_path: Path) -> None:
    """Not even to one that gets the keys of clients who came to the gateway: this one was meant for OpenAI."""
    script.answer(reply(text="Hello."))
    config = tmp_path / "config.yaml"
    config.write_text(FORWARDING.format(url=upstream.url))
    options = {"gateway_config": str(config), "gateway_upstream": "", "gateway_api_key_env": ""}
    upstream.listings.clear()
    upstream.probes.clear()
    with Proxy(upstream.url, tmp_path / "home", options) as proxy:
        answer = ask(proxy, f"{OPENAI}/v1/responses", proxy.authority, {"model": script.model, "input": "hi"})
    assert answer.json["status"] == "completed"
    assert "authorization" not in script.request.headers
    assert API_KEY not in str([request.headers for request in (*upstream.listings, *upstream.probes)])


def test_the_clients_key_goes_to_the_host_that_it_is_for(
    script: Script, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    script.answer(reply(text="Hello."))
    config = tmp_path / "config.yaml"
    config.write_text(FORWARDING.format(url=upstream.url))
    port = urlsplit(upstream.url).port
    options = {
        "gateway_config": str(config),
        "gateway_upstream": "",
        "gateway_api_key_env": "",
        "gateway_intercept": "127.0.0.1/v1",
    }
    with Proxy(upstream.url, tmp_path / "home", options) as proxy:
        body = {"model": script.model, "input": "hi"}
        ask(proxy, f"https://127.0.0.1:{port}/v1/responses", proxy.authority, body)
    assert script.request.headers["authorization"] == f"Bearer {API_KEY}"


def test_access_keys_hold_for_what_is_answered(upstream: ScriptedUpstream, script: Script, tmp_path: Path) -> None:
    script.answer(reply(text="One."), reply(text="Two."))
    body = {"model": script.model, "input": "hi"}
    with Proxy(upstream.url, tmp_path / "home", {"gateway_access_keys": "sk-of-the-gateway"}) as proxy:
        refused = ask(proxy, f"{OPENAI}/v1/responses", proxy.authority, body)
        by_key = ask(
            proxy,
            f"{OPENAI}/v1/responses",
            proxy.authority,
            body,
            {"authorization": "Bearer sk-of-the-gateway"},
        )
        shown = {"Proxy-Authorization": "Basic OnNrLW9mLXRoZS1nYXRld2F5"}
        by_proxy = ask(proxy, f"{OPENAI}/v1/responses", proxy.authority, body, proxy_headers=shown)
    assert (refused.status, refused.json["error"]["code"]) == (401, "invalid_api_key")
    assert by_key.json["status"] == by_proxy.json["status"] == "completed"


def test_a_web_page_cannot_spend_the_users_key(proxy: Proxy) -> None:
    headers = {"origin": "https://page.example"}
    answer = ask(proxy, f"{OPENAI}/v1/responses", proxy.authority, {"model": "m", "input": "hi"}, headers)
    assert (answer.status, answer.json["error"]["code"]) == (403, "origin_not_allowed")


@pytest.mark.parametrize(
    ("mode", "option", "starts"),
    [
        ("regular", None, False),
        ("regular", "gateway_access_keys=sk-of-the-gateway", True),
        ("regular", "proxyauth=me:secret", True),
        ("socks5", "gateway_access_keys=sk-of-the-gateway", False),
        ("socks5", "proxyauth=me:secret", True),
    ],
)
def test_an_open_proxy_is_refused_at_the_start(mode: str, option: str | None, starts: bool, tmp_path: Path) -> None:
    mitmdump = Path(sys.executable).with_name("mitmdump")
    command = [mitmdump, "-s", ROOT / "addon" / "gateway.py", "--mode", mode, "--set", f"confdir={tmp_path}"]
    command += ["--listen-host", "0.0.0.0", "--listen-port", "0", *(["--set", option] if option else [])]
    # Without a line of input to read, `-n` is not needed: a start that is not refused reads an empty file, and ends.
    empty = tmp_path / "empty"
    empty.touch()
    ended = subprocess.run(
        [*command, "-r", empty], env=clean_environment(tmp_path, {}), capture_output=True, text=True, timeout=60
    )
    said = ended.stdout + ended.stderr
    assert (ended.returncode == 0, "could use the proxy" in said) == (starts, not starts), said


class Greeter:
    """A server that speaks first, as those of mail and databases do; a context manager."""

    def __enter__(self) -> int:
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        port: int = self._socket.getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._socket.accept()
                with accepted:
                    accepted.sendall(b"220 hello\r\n")
                    accepted.recv(100)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_server_that_speaks_first_behind_a_tunnel(proxy: Proxy, host: str) -> None:
    with Greeter() as port, socket.create_connection(("127.0.0.1", proxy.port), 60) as connection:
        connection.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
        said = b""
        while b"hello" not in said:
            said += connection.recv(100)
    assert said.startswith(b"HTTP/1.1 200")


def test_a_server_that_speaks_first_behind_socks(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with (
        Proxy(upstream.url, tmp_path / "home", mode="socks5") as proxy,
        Greeter() as port,
        socket.create_connection(("127.0.0.1", proxy.port), 60) as connection,
    ):
        connection.sendall(b"\x05\x01\x00")
        assert connection.recv(2) == b"\x05\x00"
        connection.sendall(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2, "big"))
        said = b""
        while b"hello" not in said:
            said += connection.recv(100)


REDIRECTED = """
import socket
from mitmproxy import platform

# What the kernel would say of a connection that a rule of the firewall redirected.
platform.init_transparent_mode = lambda: None
platform.original_addr = lambda connection: ("127.0.0.1", {port})
"""


def test_a_transparent_proxy(upstream: ScriptedUpstream, other: TlsServer, script: Script, tmp_path: Path) -> None:
    """What the kernel says of the connection's first destination is made up; all else is real."""
    script.answer(reply(text="Hello."))
    kernel = tmp_path / "kernel.py"
    kernel.write_text(REDIRECTED.format(port=other.port))
    body = json.dumps({"model": script.model, "input": "hi"})
    with Proxy(upstream.url, tmp_path / "home", arguments=["-s", str(kernel)], mode="transparent") as proxy:
        answered = over_tls(proxy.port, "api.openai.com", proxy.authority, "/v1/responses", body)
        passed = over_tls(proxy.port, "localhost", other.authority, "/", "")
    assert '"status":"completed"' in answered
    assert "the other server" in passed
