"""An HTTP proxy on the way out, behind which every host is the scripted upstream."""

import base64
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

from cryptography import x509
from mitmproxy.certs import CertStore

from e2e.tls_server import private_key

LOGIN = "me:p@ss word"

type Behaviour = Literal["serves", "hangs", "cuts"] | str


class ForwardProxy:
    """Takes CONNECT and absolute-form requests of whoever knows LOGIN; a context manager.

    In tunnels it is `host` itself that answers, with a certificate of `authority`. `behaviour` may also be the status
    line of its refusal.
    """

    def __init__(self, folder: Path, host: str, upstream: str) -> None:
        folder.mkdir()
        store = CertStore.from_store(folder, "far", 2048)
        self.authority = folder / "far-ca-cert.pem"
        entry = store.get_cert(host, [x509.DNSName(host)])
        chain = folder / "chain.pem"
        chain.write_bytes(private_key(entry.privatekey) + entry.cert.to_pem())
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(chain)
        address = urlsplit(upstream)
        self._upstream = (address.hostname or "", address.port or 80)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.behaviour: Behaviour = "serves"
        self.heads: list[str] = []
        """What the proxy itself could read: the heads of requests to it."""
        self.held: Queue[socket.socket] = Queue()
        """The connections of clients that wait for an answer for ever."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url_with_login(self) -> str:
        return f"http://me:p%40ss%20word@127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._socket.close()
        while not self.held.empty():
            self.held.get().close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (piece := client.recv(65536)):
                    return
                head += piece
            text, _, _ = head.partition(b"\r\n\r\n")
            self.heads.append(text.decode("latin-1"))
            if self.behaviour == "hangs":
                self.held.put(client)
                return
            if self.behaviour != "serves":
                refusal = "" if self.behaviour == "cuts" else f"HTTP/1.1 {self.behaviour}\r\ncontent-length: 0\r\n\r\n"
                client.sendall(refusal.encode())
            elif f"proxy-authorization: basic {base64.b64encode(LOGIN.encode()).decode()}".lower() not in (
                self.heads[-1].lower()
            ):
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            elif text.startswith(b"CONNECT "):
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._join(self._tls.wrap_socket(client, server_side=True), b"")
                return
            else:
                method, url, version = text.split(b"\r\n")[0].split(b" ")
                path = b"/" + url.split(b"/", 3)[3]
                self._join(client, b" ".join((method, path, version)) + head[head.index(b"\r\n") :])
                return
        client.close()

    def _join(self, client: socket.socket, sent: bytes) -> None:
        there = socket.create_connection(self._upstream)
        there.sendall(sent)
        back = threading.Thread(target=_copy, args=(there, client), daemon=True)
        back.start()
        _copy(client, there)
        back.join()
        client.close()
        there.close()


def _copy(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while piece := one.recv(65536):
            other.sendall(piece)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)
