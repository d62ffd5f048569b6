"""What servers of tests have in common that answer in threads whatever a test wants."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class Server(ThreadingHTTPServer):
    """Handlers find in `scripted` what the test wants."""

    daemon_threads = True
    scripted: Any


class ThreadedServer:
    """A server on a loopback port chosen by the OS; a context manager."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._handler = handler
        self.released = threading.Event()
        """Set when the test is over, for answers that wait."""

    def __enter__(self) -> Self:
        self._server = Server(("127.0.0.1", 0), self._handler)
        self._server.scripted = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"
