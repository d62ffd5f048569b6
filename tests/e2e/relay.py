"""A TCP relay in front of a server, which can cut the connections that go through it."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Relay:
    """Relays connections to `port` of loopback; a context manager.

    Without `listening` it refuses them until `listen` is called.
    """

    def __init__(self, port: int, *, listening: bool = True) -> None:
        self._target = ("127.0.0.1", port)
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self._at_once = listening
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        if self._at_once:
            self.listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._listening.close()
        self.cut()

    def listen(self) -> None:
        """Take connections from now on."""
        self._listening.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close everything that is open now."""
        ending, self._open = self._open, []
        for one in ending:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._open += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
    for end in (one, other):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
