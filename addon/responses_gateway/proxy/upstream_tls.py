"""TLS of an upstream connection, from which the fast path may read before mitmproxy's TLS layer does."""

from typing import Any, cast

from OpenSSL import SSL

_READ_SIZE = 65535
"""Bytes that are read at once, as in mitmproxy's layer."""


class UpstreamTls:
    """Stands in for the connection of pyOpenSSL that mitmproxy's TLS layer uses.

    `bio_write` and `recv` are called by that layer; all else that it calls goes to the connection itself. `decrypt` and
    `put_back` are for the fast path. Bytes keep their order whoever reads them.
    """

    def __init__(self, connection: SSL.Connection) -> None:
        self.bytes_received = 0
        """Bytes that the layer has put in."""

        self._connection = connection
        self._unread = b""
        self._has_stopped = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    @property
    def for_layers(self) -> SSL.Connection:
        """This object, as the type that the layer knows."""
        return cast("SSL.Connection", self)

    def bio_write(self, data: bytes) -> int:
        """The layer puts in what came from the upstream."""
        self.bytes_received += len(data)
        return self._connection.bio_write(data)

    def recv(self, size: int) -> bytes:
        """The layer reads content. Raises SSL.Error as the connection does: when there is none, for example."""
        if self._unread:
            content, self._unread = self._unread[:size], self._unread[size:]
            return content
        return self._connection.recv(size)

    def decrypt(self, data: bytes) -> tuple[bytes, bytes]:
        """Put in what came from the upstream, and read all content. Returns it, and what has to be sent to the upstream
        because TLS itself wants to.
        """
        connection = self._connection
        connection.bio_write(data)
        content = b""
        try:
            content = connection.recv(_READ_SIZE)
            while True:
                content += connection.recv(_READ_SIZE)
        except SSL.WantReadError:
            pass
        except SSL.Error:
            # The upstream has ended TLS, or broken it. The layer is told the same when it reads.
            self._has_stopped = True
        try:
            return content, connection.bio_read(_READ_SIZE)
        except SSL.WantReadError:
            return content, b""

    def put_back(self, content: bytes) -> None:
        """Leave content to the layer."""
        self._unread += content

    @property
    def has_unread(self) -> bool:
        """Whether the layer has to read: content that was put back, or how the connection ended."""
        return bool(self._unread) or self._has_stopped
