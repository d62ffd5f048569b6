"""Limits the number of client connections."""

from collections.abc import Callable

from mitmproxy.connection import Client
from mitmproxy.proxy.mode_specs import ReverseMode

from responses_gateway.security.terminal import get_logger

logger = get_logger(__name__)


class ConnectionLimit:
    """An addon that closes connections beyond the limit before anything is read from them.

    It warns once until there is room again.
    """

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._open: set[str] = set()
        self._is_full = False

    def client_connected(self, client: Client) -> None:
        if not isinstance(client.proxy_mode, ReverseMode):
            return
        limit = self._limit()
        if len(self._open) < limit:
            self._open.add(client.id)
            self._is_full = False
            return
        client.error = "too many connections"
        if not self._is_full:
            self._is_full = True
            logger.warning("There are %d client connections (gateway_connections); further ones are closed.", limit)

    def client_disconnected(self, client: Client) -> None:
        self._open.discard(client.id)
