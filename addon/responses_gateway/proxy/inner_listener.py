"""A listener for requests that the gateway gives to itself in the name of clients that came through a proxy.

Turns of a WebSocket and background responses are requests to the listener that the client came through, so that each
is an ordinary flow. A proxy cannot be asked like that. So there is a reverse proxy on a loopback port for it, whose
requests have to show a pass: it says whose they are, and where the client wanted to go.
"""

import asyncio
import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

from mitmproxy import ctx
from mitmproxy.proxy.mode_servers import ServerInstance
from mitmproxy.proxy.mode_specs import ProxyMode

MODE = ProxyMode.parse("reverse:http://gateway.invalid@127.0.0.1:0")


class Pass(NamedTuple):
    """Whom a request is made for."""

    mode: str
    """The specification of the mode that the client came through."""

    origin: str
    """Scheme, host and port that the client asked."""

    path: str
    """The path that the client asked, without its query."""

    owner: str


class InnerListener:
    """The listener, which is started when it is needed first."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._lock = asyncio.Lock()
        self._server: ServerInstance[ProxyMode] | None = None

    async def base_url(self, own: Pass) -> str:
        """The base URL, without /v1, of requests that are made with this pass. Raises OSError."""
        async with self._lock:
            if self._server is None:
                server: ServerInstance[ProxyMode] = ServerInstance.make(MODE, ctx.master.addons.get("proxyserver"))
                await server.start()
                self._server = server
        port = self._server.listen_addrs[0][1]
        body = urlsafe_b64encode(json.dumps(own).encode()).decode()
        return f"http://127.0.0.1:{port}/{body}.{self._signature(body)}"

    def shown_pass(self, target: str) -> tuple[Pass, str] | None:
        """The pass in the target of a request, and what of the target is behind it; None without a valid one."""
        shown, slash, rest = target.removeprefix("/").partition("/")
        body, _, signature = shown.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(body).encode()):
            return None
        return Pass(*json.loads(urlsafe_b64decode(body))), slash + rest

    async def close(self) -> None:
        """Let nobody in any more."""
        if self._server is not None:
            await self._server.stop()
            self._server = None

    def _signature(self, body: str) -> str:
        return hmac.new(self._secret, body.encode(), "sha256").hexdigest()
