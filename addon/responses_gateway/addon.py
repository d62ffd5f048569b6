"""The mitmproxy addon: hooks only. `endpoints/` says what answers a call, `turn/` serves it, `inspection/` shows it."""

import gc
import os
import time
from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import ctx, exceptions, http, version
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.mode_specs import ProxyMode, ReverseMode

from responses_gateway.access.access_control import AccessControl
from responses_gateway.access.proxy_access import OpenProxyError, ProxyAccess, refuse_open_proxies
from responses_gateway.access.rules import Access
from responses_gateway.catalogue.intercepted_apis import InterceptedApis
from responses_gateway.endpoints.chat import Relay
from responses_gateway.endpoints.dispatch import Outcome, serve
from responses_gateway.endpoints.incoming_call import call_of
from responses_gateway.endpoints.native import passing_on
from responses_gateway.inspection.addon import Inspector
from responses_gateway.inspection.recording.socket_messages import SocketMessages
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Answer, Call, Forward
from responses_gateway.proxy import messages
from responses_gateway.proxy.arrivals import Arrival, Arrivals
from responses_gateway.proxy.client_watch import ClientWatches
from responses_gateway.proxy.connection_limit import ConnectionLimit
from responses_gateway.proxy.contract import RoundEnd, Turn, UpstreamSocket
from responses_gateway.proxy.inner_listener import InnerListener
from responses_gateway.proxy.interception import Interception
from responses_gateway.proxy.killed_flows import KilledFlows
from responses_gateway.proxy.layer import setup
from responses_gateway.proxy.listening import LoopbackOnly
from responses_gateway.proxy.log_output import unblock_log
from responses_gateway.proxy.private_parts import missing_features
from responses_gateway.proxy.proxy_login import ProxyLogin
from responses_gateway.proxy.replay import Replays
from responses_gateway.proxy.request_body_memory import RequestBodyMemory
from responses_gateway.proxy.shutdown import end_turns, stop_on_hangup
from responses_gateway.proxy.socket_fast_path import SocketFastPaths
from responses_gateway.proxy.upstream_proxies import UpstreamProxies, UpstreamProxy, own_ports
from responses_gateway.security.terminal import get_logger
from responses_gateway.settings.config_file import SettingsError
from responses_gateway.settings.config_watch import ConfigWatch
from responses_gateway.settings.loading import config_location, load_settings, unknown_options
from responses_gateway.settings.options import OPTION_PREFIX, OPTIONS
from responses_gateway.settings.settings import Settings
from responses_gateway.state.secret import SecretError
from responses_gateway.turn.error_response import error_response
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.listeners import Listener, Listeners
from responses_gateway.turn.native_request import NativeRequest
from responses_gateway.turn.native_turn import NativeTurn, successor_of
from responses_gateway.turn.relay_turn import RelayTurn
from responses_gateway.turn.runtime import Runtime, Watch
from responses_gateway.turn.served_turn import ServedTurn
from responses_gateway.upstream.routing import Listed
from responses_gateway.websocket.server import SocketLimits, SocketServer
from responses_gateway.websocket.upgrade import asks_for_socket, redirect_upgrade

logger = get_logger(__name__)

TURNS = (("POST", "/responses"), ("POST", "/responses/compact"))
"""Method and path of what is recorded as a turn."""

ACCESS_OPTIONS = ("mode", "listen_host", "proxyauth")
"""mitmproxy's options that say who can use the gateway as a proxy."""


class Gateway:
    """Serves the Responses API: to clients of a reverse proxy, and in place to those that go elsewhere through a proxy.

    `target_is_fallback`: the target of the reverse proxy mode serves only when the settings have no upstream; otherwise
    it is what `--mode reverse:URL` means to mitmproxy. `watch` is told the events of every answer. `environ` holds the
    variables that settings and keys are read from.
    """

    def __init__(
        self, *, target_is_fallback: bool = False, watch: Watch | None = None, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._environ = environ
        self._listeners = Listeners(target_is_fallback=target_is_fallback, watch=watch)
        self._turns: WeakKeyDictionary[http.HTTPFlow, ServedTurn | NativeTurn] = WeakKeyDictionary()
        self._relays: WeakKeyDictionary[http.HTTPFlow, RelayTurn] = WeakKeyDictionary()
        self._forwarded: WeakSet[http.HTTPFlow] = WeakSet()
        self._settings: Settings | None = None
        self._access = Access((), (), ())
        self._config_watch = ConfigWatch(None)
        self._apis = InterceptedApis(())
        self._inner_listener = InnerListener()
        self._arrivals = Arrivals(self._target, self._inner_listener, lambda: ctx.options.mode)
        self._sockets: SocketServer | None = None
        self._is_running = False
        self._ending = False
        self._inspector = Inspector(self._runtime, self._listeners.learned_repairs, self.serves)
        self._socket_fast_paths = SocketFastPaths()
        self._body_memory = RequestBodyMemory()
        self._replays = Replays(self, lambda flow: arrival.mode if (arrival := self._arrivals.of(flow)) else None)
        proxy_access = ProxyAccess(lambda: self._access, self.serves)
        # In this order: access is decided by what the inspector then hides.
        self._access_control = AccessControl(lambda: self._access, self._arrivals.of, proxy_access.key_of)
        self.addons = [
            LoopbackOnly(),
            ConnectionLimit(self._connections),
            Interception(self, self.serves),
            proxy_access,
            ProxyLogin(self._proxies, self.serves),
            self._access_control,
            self._inspector,
            self._socket_fast_paths,
            ClientWatches(),
            KilledFlows(self.turn),
            SocketMessages(),
        ]

    def load(self, loader: Loader) -> None:
        for option in OPTIONS:
            loader.add_option(option.name, option.typespec, option.default, option.help)
        for consequence in missing_features():
            logger.warning("With mitmproxy %s, %s.", version.VERSION, consequence)
        unblock_log(ctx.master)
        self._replays.install()
        # With eager connections, a client of an upstream that is down sees a closed socket and no answer.
        # The client's Host is checked; the upstream gets its own all the same.
        ctx.options.update(connection_strategy="lazy", keep_host_header=True)

    def running(self) -> None:
        stop_on_hangup()
        for message in unknown_options(ctx.options.deferred):
            logger.error(message)
        self._is_running = True
        self._serve_sockets()
        # What was loaded stays: without it, a full collection stops the streams for under a millisecond, not for many.
        gc.collect()
        gc.freeze()
        # A request of 100 KB makes some ten thousand objects; to look through them ten times is a tenth of its CPU.
        gc.set_threshold(10_000, 10, 10)

    def _serve_sockets(self) -> None:
        """Start or stop the WebSocket server, as the settings want it."""
        settings = self._settings
        if settings is not None and settings.websocket and self._sockets is None:
            self._sockets = SocketServer(SocketLimits(message=settings.body_limit), self._listeners.steerings)
            self._sockets.start()
        elif settings is not None and not settings.websocket and self._sockets is not None:
            self._sockets.close()
            self._sockets = None

    def configure(self, updated: Iterable[str]) -> None:
        first = self._settings is None
        if not first and not any(name.startswith(OPTION_PREFIX) or name in ACCESS_OPTIONS for name in updated):
            return
        try:
            self._load_settings()
            self._refuse_open_proxies()
        except (SettingsError, SecretError, OpenProxyError) as error:
            if not first:
                raise exceptions.OptionsError(str(error)) from error
            # mitmproxy ends when a start logs errors, and would wrap an exception here in a traceback.
            logger.error(error)

    def _refuse_open_proxies(self) -> None:
        """Raises OpenProxyError."""
        options = ctx.options
        proxyauth = bool(options.proxyauth) if "proxyauth" in options else False
        has_keys = bool(self._access.key_digests)
        refuse_open_proxies(options.mode, options.listen_host, has_keys=has_keys, has_proxyauth=proxyauth)

    def _load_settings(self) -> None:
        """Use the settings as they are now, from the next request on.

        Raises SettingsError or SecretError, and keeps the old ones.
        """
        options = {option.name: getattr(ctx.options, option.name) for option in OPTIONS}
        watch = ConfigWatch(config_location(options, self._environ))
        settings = load_settings(options, self._environ)
        own = own_ports(ctx.options.mode, ctx.options.listen_port)
        settings = settings.model_copy(update={"proxies": settings.proxies.without(own)})
        self._listeners.use(settings)
        self._settings, self._access, self._config_watch = settings, Access.of(settings), watch
        self._apis = InterceptedApis(settings.intercept)
        self._inspector.use(settings)
        for warning in settings.warnings:
            logger.warning(warning)
        if self._is_running:
            self._serve_sockets()

    def _follow_config_file(self) -> None:
        if not self._config_watch.changed(time.monotonic()):
            return
        path = self._config_watch.path
        try:
            self._load_settings()
        except (SettingsError, SecretError) as error:
            logger.error(error)
            logger.error("The settings from before this change stay in use.")
        else:
            logger.info("%s was read again.", path)

    def _runtime(self, mode: ProxyMode) -> Runtime:
        return self._listeners.of(mode).runtime

    async def models(self) -> list[Listed]:
        """What clients of the first listener can ask for; waits a moment for the lists of its upstreams."""
        modes = [mode for mode in map(ProxyMode.parse, ctx.options.mode) if isinstance(mode, ReverseMode)]
        if not modes:
            return []
        runtime = self._runtime(modes[0])
        await runtime.lists.refresh("", {})
        return runtime.router.models()

    def _target(self, host: str, target: str) -> str | None:
        return self._apis.target(host, target)

    # What the proxy layer asks ----------------------------------------------------------------------------------------

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        if nextlayer.layer is None and isinstance(nextlayer.context.layers[-1], modes.ReverseProxy):
            nextlayer.layer = setup(nextlayer.context, nextlayer.data_client(), self)

    def turn(self, flow: http.HTTPFlow) -> Turn | None:
        return self._turns.get(flow) or self._relays.get(flow)

    def upstream_socket(self, connection: Connection) -> UpstreamSocket | None:
        return self._socket_fast_paths.of(connection)

    def upstream_proxy(self, mode: ProxyMode, request: http.Request) -> UpstreamProxy | None:
        return self._proxies().choose(request.scheme, request.host, request.port, mode)

    def _proxies(self) -> UpstreamProxies:
        assert self._settings is not None  # noqa: S101
        return self._settings.proxies

    def may_serve(self, host: str) -> bool:
        return self._apis.has_host(host)

    def serves(self, flow: http.HTTPFlow) -> bool:
        return self._arrivals.of(flow) is not None

    def body_limit(self) -> int:
        assert self._settings is not None  # noqa: S101 (configure ran before any flow)
        return self._settings.body_limit

    def _connections(self) -> int:
        assert self._settings is not None  # noqa: S101
        return self._settings.connections

    def reserve_body_memory(self, flow: http.HTTPFlow, size: int) -> bool:
        assert self._settings is not None  # noqa: S101
        return self._body_memory.reserve(flow, size, self._settings.bodies_limit)

    def error_response(self, status: int, message: str) -> http.Response:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        code = {413: "request_too_large", 502: "server_error", 503: "server_error"}.get(status)
        # Codex waits as long as it is told, and repeats a 503.
        return error_response(GatewayError(message, status, code, type=kind, retry_after=1 if status == 503 else None))

    async def gateway_round(self, data: RoundEnd) -> None:
        turn = self._turns.get(data.flow)
        if turn is not None and await turn.next_round():
            data.again = True
            if (successor := successor_of(turn)) is not None:
                self._turns[data.flow] = data.successor = successor

    async def done(self) -> None:
        """End what still runs; mitmproxy awaits this before it exits, whatever signal it got."""
        self._ending = True
        self._replays.remove()
        await end_turns([flow for flow in (*self._turns, *self._relays) if flow.live and not flow.is_replay])
        if self._sockets is not None:
            await self._sockets.shut_down()
        await self._inner_listener.close()
        await self._listeners.close()

    # Hooks ------------------------------------------------------------------------------------------------------------

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._follow_config_file()
        if not self._arrivals.admit(flow):
            flow.response = self.error_response(403, "Only the gateway itself may ask here.")

    async def request(self, flow: http.HTTPFlow) -> None:
        arrival = self._arrivals.of(flow)
        if arrival is None or flow.response is not None or flow.error is not None:
            return
        self._turns.pop(flow, None)
        self._relays.pop(flow, None)
        self._forwarded.discard(flow)
        try:
            await self._serve(flow, arrival)
        except GatewayError as error:
            flow.response = error_response(error)
        except Exception:
            # mitmproxy would go on and send the request upstream as the client sent it.
            logger.exception("a request could not be served")
            flow.response = self.error_response(500, "The gateway cannot serve the request; its log says why.")

    async def _serve(self, flow: http.HTTPFlow, arrival: Arrival) -> None:
        if self._ending:
            raise GatewayError("the gateway is shutting down", 503, "server_error", type="server_error")
        listener = self._listeners.of(arrival.mode, arrival.origin)
        headers, owner = self._inspector.headers(flow), self._access_control.owner(flow)
        limit, own_url = listener.runtime.settings.body_limit, await self._arrivals.base_url(flow, owner)
        call = call_of(flow, headers, owner, limit, arrival.target, own_url)
        if asks_for_socket(call):
            redirect_upgrade(flow, call, self._sockets)
            return
        observer = self._inspector.begin(flow, call.headers, call.body) if (call.method, call.path) in TURNS else None
        outcome = await serve(call, listener.runtime)
        if observer is not None and isinstance(outcome, Exchange | NativeRequest):
            outcome.observe(observer)
        self._take(flow, call, outcome, listener)

    def _take(self, flow: http.HTTPFlow, call: Call, outcome: Outcome, listener: Listener) -> None:
        match outcome:
            case Answer(body, status, headers):
                flow.response = messages.response(status, body, headers)
            case Forward(url):
                flow.request = messages.request("GET", url, {})
                flow.server_conn = Server(address=(flow.request.host, flow.request.port))
                self._forwarded.add(flow)
            case Relay(url, headers, body, secrets, method):
                request = messages.request(method, url, headers, body)
                watcher = self._inspector.begin_relay(flow, call.headers, headers, secrets)
                self._relays[flow] = RelayTurn(request, secrets, listener.runtime.settings, watcher)
            case NativeRequest():
                self._turns[flow] = NativeTurn(outcome, call.headers, listener.services)
            case exchange:
                self._turns[flow] = ServedTurn(
                    exchange, call.headers, listener.services, passing_on(call, listener.runtime)
                )

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow in self._forwarded and flow.response is not None:
            flow.response.stream = True

    def response(self, flow: http.HTTPFlow) -> None:
        self._end(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._end(flow)

    def _end(self, flow: http.HTTPFlow) -> None:
        """Report a turn, and let go of what served it: mitmweb keeps the flow."""
        self._relays.pop(flow, None)
        if (turn := self._turns.pop(flow, None)) is not None:
            for entry in turn.ledger.entries:
                logger.info("%s: %s", turn.model, entry)
