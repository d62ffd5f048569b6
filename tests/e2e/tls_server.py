"""A TLS server with an authority of its own, for hosts that are nobody's API: it says what it was sent."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from mitmproxy.certs import CertStore


class TlsServer:
    """Answers every HTTP request; a context manager. `authority` is the certificate to trust.

    `answers` are bodies by path, in JSON.
    """

    def __init__(self, folder: Path, names: list[str], answers: Mapping[str, bytes] | None = None) -> None:
        folder.mkdir()
        store = CertStore.from_store(folder, "other", 2048)
        self.authority = folder / "other-ca-cert.pem"
        self._answers = answers or {}
        entry = store.get_cert(names[0], [_name(name) for name in names])
        chain = folder / "chain.pem"
        chain.write_bytes(private_key(entry.privatekey) + entry.cert.to_pem())
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(chain)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.heads: list[str] = []
        """The heads of the requests, in lower case."""

        self.bodies: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                return
            try:
                with self._tls.wrap_socket(accepted, server_side=True) as connection:
                    self._answer(connection)
            except OSError:
                continue

    def _answer(self, connection: ssl.SSLSocket) -> None:
        with connection.makefile("rb") as reader:
            lines = list(takewhile(lambda line: line not in (b"\r\n", b""), iter(reader.readline, None)))
            head = b"".join(lines).decode("latin-1").lower()
            length = head.partition("content-length: ")[2].partition("\r")[0]
            self.bodies.append(reader.read(int(length or 0)))
        if not lines:
            return
        self.heads.append(head)
        body = self._answers.get(head.split(" ")[1].partition("?")[0])
        fields = b"connection: close" if body is None else b"connection: close\r\ncontent-type: application/json"
        body = b"the other server" if body is None else body
        connection.sendall(b"HTTP/1.1 200 OK\r\n%b\r\ncontent-length: %d\r\n\r\n" % (fields, len(body)) + body)


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def private_key(key: Any) -> bytes:
    """A key as PEM."""
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return pem
