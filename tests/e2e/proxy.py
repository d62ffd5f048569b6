"""A mitmdump with the addon as a proxy, and what a test needs to go through it."""

import json
import socket
import ssl
from collections.abc import Mapping, Sequence
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from e2e.environment import API_KEY, UPSTREAM_KEY, clean_environment
from e2e.gateway import GatewayProcess


class Proxy(GatewayProcess):
    """A mitmdump with the addon as a proxy; its turns go to the scripted upstream."""

    def __init__(
        self,
        upstream: str,
        home: Path,
        options: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        mode: str = "regular",
    ) -> None:
        home.mkdir()
        own = {"gateway_api_key_env": "TEST_UPSTREAM_KEY", **(options or {})}
        super().__init__(upstream, home, own, arguments, {"TEST_UPSTREAM_KEY": UPSTREAM_KEY}, mode)
        self.authority = home / "mitmproxy-ca-cert.pem"

    def _wait_ready(self) -> None:
        self.port = int(
            self.wait_log(r"(?:HTTP\(S\) proxy.*|SOCKS v5 proxy|Transparent Proxy) listening at \S*?:(\d+)\.?\s*$", 60)[
                1
            ]
        )

    def environment(self, home: Path) -> dict[str, str]:
        """What a client of the proxy needs to have in its environment."""
        names = ("SSL_CERT_FILE", "CODEX_CA_CERTIFICATE", "NODE_EXTRA_CA_CERTS")
        proxy = {"HTTPS_PROXY": self.url, "NODE_USE_ENV_PROXY": "1", **dict.fromkeys(names, str(self.authority))}
        return clean_environment(home, {"OPENAI_API_KEY": "dummy", **proxy})


class Answer:
    """An answer that came through a proxy, and who gave it by its certificate."""

    def __init__(self, connection: HTTPSConnection) -> None:
        certificate: Any = connection.sock.getpeercert()
        response = connection.getresponse()
        self.issuer = dict(pair[0] for pair in certificate["issuer"])["commonName"]
        self.status = response.status
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def tunnelled(proxy: GatewayProcess, url: str, authorities: Sequence[Path], headers: dict[str, str]) -> HTTPSConnection:
    """A connection to the host of a URL, through the proxy; `headers` are for the proxy."""
    address = urlsplit(url)
    trusted = ssl.create_default_context()
    for authority in authorities:
        trusted.load_verify_locations(authority)
    connection = HTTPSConnection("127.0.0.1", proxy.port, context=trusted, timeout=60)
    connection.set_tunnel(address.hostname or "", address.port or 443, headers)
    return connection


def ask(
    proxy: GatewayProcess,
    url: str,
    authority: Path,
    body: Mapping[str, Any] | bytes | None = None,
    headers: Mapping[str, str] | None = None,
    proxy_headers: dict[str, str] | None = None,
) -> Answer:
    """Send one request through the proxy to a host whose certificate comes from this authority."""
    connection = tunnelled(proxy, url, [authority], proxy_headers or {})
    sent = json.dumps(body).encode() if isinstance(body, Mapping) else body
    named = {"authorization": f"Bearer {API_KEY}", "content-type": "application/json", **(headers or {})}
    connection.request("GET" if body is None else "POST", urlsplit(url).path, sent, named)
    try:
        return Answer(connection)
    finally:
        connection.close()


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def over_socks(proxy: Proxy, host: str, port: int, authority: Path, path: str, body: str) -> str:
    """One request over TLS through a SOCKS5 proxy (RFC 1928), by the name of the host."""
    with socket.create_connection(("127.0.0.1", proxy.port), 60) as connection:
        connection.sendall(b"\x05\x01\x00")
        assert connection.recv(2) == b"\x05\x00"
        connection.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + port.to_bytes(2, "big"))
        assert connection.recv(10)[:2] == b"\x05\x00"
        return over_connection(connection, host, authority, path, body)


def over_tls(port: int, host: str, authority: Path, path: str, body: str) -> str:
    """One request over TLS for a host, to a port of this machine."""
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        return over_connection(connection, host, authority, path, body)


def over_connection(connection: socket.socket, host: str, authority: Path, path: str, body: str) -> str:
    """One request over TLS on a connection that leads to a host."""
    trusted = ssl.create_default_context(cafile=str(authority))
    with trusted.wrap_socket(connection, server_hostname=host) as secure:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        secure.sendall((head + body).encode())
        return read_all(secure).decode()
