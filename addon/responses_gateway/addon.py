"""The mitmproxy addon: hooks only. What is done is in `exchange.py`, how it is answered in `endpoints/`."""

import gc
import os
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import ctx, exceptions, http, version
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Connection
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.mode_specs import ReverseMode

from responses_gateway.access.access_control import AccessControl
from responses_gateway.access.rules import Access
from responses_gateway.endpoints.chat import Relay
from responses_gateway.endpoints.dispatch import Outcome, serve
from responses_gateway.hosted.web_search import SearchMeans, WebSearch, search_means
from responses_gateway.inspection.addon import Inspector
from responses_gateway.inspection.recording.socket_messages import SocketMessages
from responses_gateway.protocol import encoding
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Answer, Call, Forward
from responses_gateway.protocol.json import dumps
from responses_gateway.proxy import messages
from responses_gateway.proxy.bodies import RequestBodies
from responses_gateway.proxy.client_watch import ClientWatches
from responses_gateway.proxy.connection_limit import ConnectionLimit
from responses_gateway.proxy.contract import RoundEnd, Turn
from responses_gateway.proxy.layer import setup
from responses_gateway.proxy.listening import LoopbackOnly
from responses_gateway.proxy.log_output import unblock_log
from responses_gateway.proxy.private_parts import missing_parts
from responses_gateway.proxy.replay import Replays, listener_of
from responses_gateway.proxy.shortcut import Shortcut, Shortcuts
from responses_gateway.proxy.shutdown import end_turns, stop_on_hangup
from responses_gateway.security.terminal import get_logger
from responses_gateway.settings.config_file import SettingsError
from responses_gateway.settings.config_watch import ConfigWatch
from responses_gateway.settings.loading import config_location, load_settings, unknown_options
from responses_gateway.settings.options import OPTION_PREFIX, OPTIONS
from responses_gateway.state.secret import SecretError
from responses_gateway.state.state import State
from responses_gateway.turn.background import Jobs
from responses_gateway.turn.exchange import Exchange, Runtime, Watch
from responses_gateway.turn.relay_turn import RelayTurn
from responses_gateway.turn.served_turn import Means, ServedTurn, error_response
from responses_gateway.turn.sessions import Sessions
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.upstream.learned_repairs import Learnt, default_path
from responses_gateway.upstream.model_lists import ListCache, UpstreamLists, fetch_models
from responses_gateway.upstream.routing import Router
from responses_gateway.websocket.server import SocketLimits, SocketServer

if TYPE_CHECKING:
    from responses_gateway.settings.settings import Settings

logger = get_logger(__name__)

TURNS = (("POST", "/responses"), ("POST", "/responses/compact"))
"""Method and path of what is recorded as a turn."""


def new_id(prefix: str) -> str:
    """An id in the form that OpenAI's API uses."""
    return f"{prefix}_{uuid4().hex}"


class Gateway:
    """Serves the Responses API in reverse-proxy mode; flows of other modes are left alone.

    `target_is_fallback`: the target of the reverse proxy mode serves only when the settings have no upstream; otherwise
    it is what `--mode reverse:URL` means to mitmproxy. `watch` is told the events of every answer.
    """

    def __init__(self, *, target_is_fallback: bool = False, watch: Watch | None = None) -> None:
        self._target_is_fallback = target_is_fallback
        self._watch = watch
        self._sessions = Sessions()
        self._turns: WeakKeyDictionary[http.HTTPFlow, ServedTurn] = WeakKeyDictionary()
        self._relays: WeakKeyDictionary[http.HTTPFlow, RelayTurn] = WeakKeyDictionary()
        self._forwarded: WeakSet[http.HTTPFlow] = WeakSet()
        self._settings: Settings | None = None
        self._access = Access((), (), ())
        self._config_watch = ConfigWatch(None)
        self._lists = ListCache()
        self._http = HttpClient()
        self._state: State | None = None
        self._jobs = Jobs(new_id, time.time)
        self._runtimes: dict[str, Runtime] = {}
        self._means: dict[str, Means] = {}
        self._learnt = Learnt(default_path(os.environ), time.time)
        self._search: SearchMeans | None = None
        self._sockets: SocketServer | None = None
        self._is_running = False
        self._ending = False
        self._inspector = Inspector(self._runtime, self._learnt)
        self._shortcuts = Shortcuts()
        self._bodies = RequestBodies()
        self._replays = Replays(self, self._listener)
        # In this order: access is decided by what the inspector then hides.
        self._access_control = AccessControl(lambda: self._access)
        self.addons = [
            LoopbackOnly(),
            ConnectionLimit(self._connections),
            self._access_control,
            self._inspector,
            self._shortcuts,
            ClientWatches(),
            SocketMessages(),
        ]

    def load(self, loader: Loader) -> None:
        for option in OPTIONS:
            loader.add_option(option.name, option.typespec, option.default, option.help)
        if missing := missing_parts():
            logger.warning(
                "mitmproxy %s lacks what streams need to go past its layers, so they go through them and cost more: %s",
                version.VERSION,
                ", ".join(missing),
            )
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

    def _serve_sockets(self) -> None:
        """Start or stop the WebSocket server, as the settings want it."""
        settings = self._settings
        if settings is not None and settings.websocket and self._sockets is None:
            self._sockets = SocketServer(SocketLimits(message=settings.body_limit))
            self._sockets.start()
        elif settings is not None and not settings.websocket and self._sockets is not None:
            self._sockets.close()
            self._sockets = None

    def configure(self, updated: Iterable[str]) -> None:
        first = self._settings is None
        if not first and not any(name.startswith(OPTION_PREFIX) for name in updated):
            return
        try:
            self._load_settings()
        except (SettingsError, SecretError) as error:
            if not first:
                raise exceptions.OptionsError(str(error)) from error
            # mitmproxy ends when a start logs errors, and would wrap an exception here in a traceback.
            logger.error(error)

    def _load_settings(self) -> None:
        """Use the settings as they are now, from the next request on.

        Raises SettingsError or SecretError, and keeps the old ones.
        """
        options = {option.name: getattr(ctx.options, option.name) for option in OPTIONS}
        watch = ConfigWatch(config_location(options, os.environ))
        settings = load_settings(options, os.environ)
        search = search_means(settings, self._http)
        if self._settings is None or self._state is None or not settings.keeps_state_as(self._settings):
            # Turns that still run keep the state from before, and close it as they end.
            self._state = State(settings)
        self._settings, self._access, self._config_watch = settings, Access.of(settings), watch
        self._search = search
        self._runtimes.clear()
        self._means.clear()
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

    def _runtime(self, mode: ReverseMode) -> Runtime:
        """The runtime for one listener; each has its own default upstream."""
        runtime = self._runtimes.get(mode.full_spec)
        if runtime is None:
            assert self._settings is not None  # noqa: S101 (configure ran before any flow)
            assert self._state is not None  # noqa: S101
            host, port = mode.address
            needs_target = not (self._target_is_fallback and self._settings.names_upstream)
            router = Router(self._settings, f"{mode.scheme}://{host}:{port}" if needs_target else None)
            runtime = Runtime(
                self._settings,
                router,
                self._sessions,
                self._state,
                self._jobs,
                UpstreamLists(router, self._lists, self._http),
                self._http,
                new_id,
                time.time,
                self._watch,
                searches=self._search is not None,
            )
            self._runtimes[mode.full_spec] = runtime
            search = partial(WebSearch, self._search) if self._search is not None else None
            self._means[mode.full_spec] = Means(
                self._settings, router, self._learnt, partial(fetch_models, self._http), search
            )
        return runtime

    # What the proxy layer asks ----------------------------------------------------------------------------------------

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        if nextlayer.layer is None and isinstance(nextlayer.context.layers[-1], modes.ReverseProxy):
            nextlayer.layer = setup(nextlayer.context, nextlayer.data_client(), self)

    def turn(self, flow: http.HTTPFlow) -> Turn | None:
        return self._turns.get(flow) or self._relays.get(flow)

    def shortcut(self, connection: Connection) -> Shortcut | None:
        return self._shortcuts.of(connection)

    def body_limit(self) -> int:
        assert self._settings is not None  # noqa: S101 (configure ran before any flow)
        return self._settings.body_limit

    def _connections(self) -> int:
        assert self._settings is not None  # noqa: S101
        return self._settings.connections

    def holds(self, flow: http.HTTPFlow, size: int) -> bool:
        assert self._settings is not None  # noqa: S101
        return self._bodies.take(flow, size, self._settings.bodies_limit)

    def error_response(self, status: int, message: str) -> http.Response:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        code = {413: "request_too_large", 502: "server_error", 503: "server_error"}.get(status)
        # Codex waits as long as it is told, and repeats a 503.
        return error_response(GatewayError(message, status, code, type=kind, retry_after=1 if status == 503 else None))

    async def gateway_round(self, data: RoundEnd) -> None:
        turn = self._turns.get(data.flow)
        if turn is not None and await turn.next_round():
            turn.request = _turn_request(turn.exchange, turn.client_headers)
            data.again = True

    async def done(self) -> None:
        """End what still runs; mitmproxy awaits this before it exits, whatever signal it got."""
        self._ending = True
        self._replays.remove()
        await end_turns([flow for flow in (*self._turns, *self._relays) if flow.live and not flow.is_replay])
        if self._sockets is not None:
            await self._sockets.shut_down()
        await self._jobs.close()
        await self._http.close()
        if self._state is not None:
            await self._state.close()

    # Hooks ------------------------------------------------------------------------------------------------------------

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._follow_config_file()

    async def request(self, flow: http.HTTPFlow) -> None:
        mode = self._listener(flow)
        if mode is None or flow.response is not None or flow.error is not None:
            return
        self._turns.pop(flow, None)
        self._relays.pop(flow, None)
        self._forwarded.discard(flow)
        try:
            await self._serve(flow, mode)
        except GatewayError as error:
            flow.response = error_response(error)
        except Exception:
            # mitmproxy would go on and send the request upstream as the client sent it.
            logger.exception("a request could not be served")
            flow.response = self.error_response(500, "The gateway cannot serve the request; its log says why.")

    def _listener(self, flow: http.HTTPFlow) -> ReverseMode | None:
        return listener_of(flow, ctx.options.mode)

    async def _serve(self, flow: http.HTTPFlow, mode: ReverseMode) -> None:
        if self._ending:
            raise GatewayError("the gateway is shutting down", 503, "server_error", type="server_error")
        runtime = self._runtime(mode)
        call = _call(flow, self._inspector.headers(flow), self._access_control.owner(flow), runtime.settings.body_limit)
        if (call.method, call.path, call.headers.get("upgrade", "").lower()) == ("GET", "/responses", "websocket"):
            self._open_socket(flow, call.headers)
            return
        observer = self._inspector.begin(flow, call.headers, call.body) if (call.method, call.path) in TURNS else None
        outcome = await serve(call, runtime)
        if observer is not None and isinstance(outcome, Exchange):
            outcome.observe(observer)
        self._take(flow, call, outcome, mode)

    def _take(self, flow: http.HTTPFlow, call: Call, outcome: Outcome, mode: ReverseMode) -> None:
        match outcome:
            case Answer(body, status, headers):
                flow.response = messages.response(status, body, headers)
            case Forward(url):
                flow.request = messages.request("GET", url, {})
                self._forwarded.add(flow)
            case Relay(url, headers, body, secrets):
                request = messages.request("POST", url, headers, body)
                self._relays[flow] = RelayTurn(flow, call.headers, request, secrets, self._runtime(mode).settings)
            case exchange:
                self._turns[flow] = turn = ServedTurn(exchange, call.headers, self._means[mode.full_spec])
                turn.request = _turn_request(exchange, call.headers)

    def _open_socket(self, flow: http.HTTPFlow, headers: Mapping[str, str]) -> None:
        """Send an upgrade request to the WebSocket server. Raises GatewayError 426, on which clients use POST."""
        sockets = self._sockets
        if sockets is None:
            raise GatewayError("WebSocket is not served here; use HTTP POST.", 426, "upgrade_required")
        if headers.get("sec-websocket-version") != "13" or not headers.get("sec-websocket-key"):
            message = "The WebSocket handshake needs Sec-WebSocket-Version 13 and a Sec-WebSocket-Key."
            raise GatewayError(message, 426, "upgrade_required")
        host, port = flow.client_conn.sockname[:2]
        flow.request.url = f"http://127.0.0.1:{sockets.port}/"
        admitted = sockets.admit((host, port), headers)
        flow.request.headers = messages.headers(admitted.items())

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
            for entry in turn.exchange.ledger.entries:
                logger.info("%s: %s", turn.exchange.request.model, entry)


def _call(flow: http.HTTPFlow, headers: Mapping[str, str], owner: str, body_limit: int) -> Call:
    """`headers` are the client's, by lower-case name; `owner` says who that is.

    Raises GatewayError for a body that cannot be decoded.
    """
    request = flow.request
    host, port = flow.client_conn.sockname[:2]
    scheme = "https" if flow.client_conn.tls else "http"
    base_url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    body = _decoded(request, body_limit)
    return Call.parse(request.method, request.path, headers, body, base_url, flow.id, owner)


def _turn_request(exchange: Exchange, client_headers: Mapping[str, str]) -> http.Request:
    headers, body = exchange.upstream_headers(client_headers), dumps(exchange.chat_body)
    route = exchange.route
    exchange.observer.round_began(exchange.url, headers, body, route.secrets, [*map(str.lower, route.own_headers)])
    return messages.request("POST", exchange.url, headers, body)


def _decoded(request: http.Request, limit: int) -> bytes:
    """The request's body without its content-encoding. Raises GatewayError."""
    raw = request.raw_content or b""
    try:
        return encoding.decode(raw, request.headers.get("content-encoding", ""), limit)
    except encoding.TooLarge:
        # The body stays in the flow, and whoever looked at it would unpack all of it.
        del request.headers["content-encoding"]
        message = f"The decoded request body is larger than {limit} bytes (gateway_body_limit)."
        raise GatewayError(message, 413, "request_too_large") from None
    except (ValueError, *encoding.ERRORS) as error:
        raise GatewayError(f"The request body cannot be decoded: {error}", code="invalid_encoding") from None
