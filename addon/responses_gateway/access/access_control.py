"""Applies the access rules to mitmproxy's flows, before their bodies are read."""

from collections.abc import Callable
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.connection import Client

from responses_gateway.access.rules import Access, is_preflight, origin_headers, preflight_headers
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import dumps
from responses_gateway.proxy import messages
from responses_gateway.proxy.arrivals import Arrival, arrived_at_reverse_proxy
from responses_gateway.security.header_fields import is_safe
from responses_gateway.security.terminal import get_logger

logger = get_logger(__name__)


class AccessControl:
    """An addon that refuses requests."""

    def __init__(
        self,
        access: Callable[[], Access],
        arrival: Callable[[http.HTTPFlow], Arrival | None] = arrived_at_reverse_proxy,
        shown_key: Callable[[Client], str | None] = lambda client: None,
    ) -> None:
        """`arrival` says how a flow came, None when it only passes; `shown_key` is what a client has shown a proxy."""
        self._access = access
        self._arrival = arrival
        self._shown_key = shown_key
        self._origins: WeakKeyDictionary[http.HTTPFlow, str] = WeakKeyDictionary()
        """The flows of web pages that may read the answer."""
        self._owners: WeakKeyDictionary[http.HTTPFlow, str] = WeakKeyDictionary()

    def owner(self, flow: http.HTTPFlow) -> str:
        """The owner of a request: a name for the key that let it in, by the settings of that moment."""
        return self._owners.get(flow, "")

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        arrival = self._arrival(flow)
        if arrival is None or flow.is_replay or flow.response is not None:
            return
        if arrival.owner is not None:
            # The gateway asks itself, for a client that was let in.
            self._owners[flow] = arrival.owner
            return
        request, access = flow.request, self._access()
        headers = messages.read(request.headers)
        if key := self._shown_key(flow.client_conn):
            headers["x-api-key"] = key
        host = request.host_header or ""
        # A proxy is asked under the names of others.
        address = arrival.host or flow.client_conn.sockname[0]
        origin = headers.get("origin")
        try:
            if origin is not None and is_safe("origin", origin) and access.allows_origin(origin):
                self._origins[flow] = origin
                if is_preflight(request.method, headers):
                    flow.response = messages.response(204, b"", preflight_headers(headers))
                    return
            access.check(arrival.target, host, headers, address)
            self._owners[flow] = access.owner(headers)
        except GatewayError as error:
            flow.response = messages.response(error.status, dumps(error.body()), {"content-type": "application/json"})
            if error.status == 401:
                flow.response.headers["www-authenticate"] = "Bearer"
        except Exception:
            # mitmproxy would go on with a request that nobody let in.
            logger.exception("a request could not be checked")
            flow.response = messages.response(500)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        self._name_origin(flow)

    def response(self, flow: http.HTTPFlow) -> None:
        """Add headers to answers that are made only when the upstream's answer is complete."""
        self._name_origin(flow)

    def _name_origin(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None and (origin := self._origins.get(flow)) is not None:
            for name, value in origin_headers(origin).items():
                flow.response.headers[name] = value
