"""The mitmproxy addon: hooks only. What is done is in `exchange.py`, how it is answered in `endpoints/`."""

import gc
import logging
import os
import time
from collections.abc import Iterable, Mapping
from functools import partial
from urllib.parse import urlsplit
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import ctx, exceptions, http
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Connection
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.mode_specs import ReverseMode

from responses_gateway.access import Access
from responses_gateway.access_control import AccessControl
from responses_gateway.background import Jobs
from responses_gateway.config_file import SettingsError
from responses_gateway.config_watch import ConfigWatch
from responses_gateway.endpoints.chat import Relay
from responses_gateway.endpoints.dispatch import Outcome, serve
from responses_gateway.endpoints.http import Answer, Call, Forward
from responses_gateway.errors import GatewayError
from responses_gateway.exchange import Exchange, Runtime, Watch
from responses_gateway.inspection.addon import Inspector
from responses_gateway.learnt import Learnt, default_path
from responses_gateway.protocol import encoding
from responses_gateway.protocol.json import dumps
from responses_gateway.proxy.contract import RoundEnd, Turn
from responses_gateway.proxy.layer import setup
from responses_gateway.proxy.listening import announce_only_loopback, keep_to_loopback
from responses_gateway.proxy.replay import Replays, listener_of
from responses_gateway.proxy.shortcut import Shortcut, Shortcuts
from responses_gateway.proxy.shutdown import end_turns
from responses_gateway.relay import RelayTurn
from responses_gateway.rounds.web_search import SearchMeans, WebSearch, search_means
from responses_gateway.routing import Router
from responses_gateway.sessions import Sessions
from responses_gateway.settings import (
    OPTION_PREFIX,
    OPTIONS,
    Settings,
    config_location,
    load_settings,
    unknown_options,
)
from responses_gateway.state.secret import SecretError
from responses_gateway.state.state import State
from responses_gateway.turn import Means, ServedTurn, error_response
from responses_gateway.upstream_lists import ListCache, UpstreamLists, fetch_models
from responses_gateway.websocket import SocketLimits, SocketServer

logger = logging.getLogger(__name__)

MESSAGES_KEPT = 5000
"""Messages of one WebSocket that mitmproxy shows; the latest ones."""

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
        self._replays = Replays(self, self._listener)
        # In this order: access is decided by what the inspector then hides.
        self.addons = [AccessControl(lambda: self._access), self._inspector, self._shortcuts]

    def load(self, loader: Loader) -> None:
        for option in OPTIONS:
            loader.add_option(option.name, option.typespec, option.default, option.help)
        self._replays.install()
        # With eager connections, a client of an upstream that is down sees a closed socket and no answer.
        # The client's Host is checked; the upstream gets its own all the same.
        ctx.options.update(connection_strategy="lazy", keep_host_header=True)
        if not ctx.options.listen_host:
            announce_only_loopback()

    def running(self) -> None:
        for message in unknown_options(ctx.options.deferred):
            logger.error(message)
        self._is_running = True
        self._serve_sockets()
        # What was loaded stays: without it, a full collection stops the streams for under a millisecond, not for many.
        gc.collect()
        gc.freeze()
        if not ctx.options.listen_host:
            keep_to_loopback()

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
        search = search_means(settings)
        if self._settings is None or self._state is None or not settings.keeps_state_as(self._settings):
            state = State(settings)
            if self._state is not None:
                self._state.close()
            self._state = state
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
            logger.error("%s\nThe settings from before this change stay in use.", error)
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
                UpstreamLists(router, self._lists),
                new_id,
                time.time,
                self._watch,
                searches=self._search is not None,
            )
            self._runtimes[mode.full_spec] = runtime
            search = partial(WebSearch, self._search) if self._search is not None else None
            self._means[mode.full_spec] = Means(self._settings, router, self._learnt, fetch_models, search)
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

    def error_response(self, status: int, message: str) -> http.Response:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        code = {413: "request_too_large", 502: "server_error"}.get(status)
        return error_response(GatewayError(message, status, code, type=kind))

    async def gateway_round(self, data: RoundEnd) -> None:
        turn = self._turns.get(data.flow)
        if turn is not None and await turn.next_round():
            turn.request = _turn_request(turn.exchange, turn.client_headers)
            data.again = True

    async def done(self) -> None:
        """End what still runs; mitmproxy awaits this on SIGTERM and SIGINT before it exits."""
        self._ending = True
        self._replays.remove()
        await end_turns([flow for flow in (*self._turns, *self._relays) if flow.live and not flow.is_replay])
        if self._sockets is not None:
            await self._sockets.shut_down()
        await self._jobs.close()
        if self._state is not None:
            self._state.close()

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
        call = _call(flow, self._inspector.headers(flow), runtime.settings.body_limit)
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
                flow.response = http.Response.make(status, body, dict(headers))
            case Forward(url):
                flow.request = http.Request.make("GET", url, headers=http.Headers(host=urlsplit(url).netloc))
                self._forwarded.add(flow)
            case Relay(url, headers, body):
                request = _upstream_request(url, headers, body)
                self._relays[flow] = RelayTurn(flow, call.headers, request, self._runtime(mode).settings)
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
        # Its path stays: it is what people know the connection by.
        flow.request.scheme, flow.request.host, flow.request.port = "http", "127.0.0.1", sockets.port
        admitted = sockets.admit((host, port), headers)
        flow.request.headers = http.Headers([(name.encode(), value.encode()) for name, value in admitted.items()])

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        if flow.websocket is not None:
            # A socket may live for an hour; what is kept for looking at must not grow for as long.
            del flow.websocket.messages[:-MESSAGES_KEPT]

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


def _call(flow: http.HTTPFlow, headers: Mapping[str, str], body_limit: int) -> Call:
    """`headers` are the client's, by lower-case name. Raises GatewayError for a body that cannot be decoded."""
    request = flow.request
    host, port = flow.client_conn.sockname[:2]
    scheme = "https" if flow.client_conn.tls else "http"
    base_url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    return Call.parse(request.method, request.path, headers, _decoded(request, body_limit), base_url, flow.id)


def _turn_request(exchange: Exchange, client_headers: Mapping[str, str]) -> http.Request:
    headers, body = exchange.upstream_headers(client_headers), dumps(exchange.chat_body)
    exchange.observer.round_began(exchange.url, headers, body)
    return _upstream_request(exchange.url, headers, body)


def _upstream_request(url: str, headers: Mapping[str, str], body: bytes) -> http.Request:
    """What goes to an upstream; it holds the key, and is never part of a flow that can be seen."""
    request = http.Request.make("POST", url, body)
    host = request.host if request.port in (80, 443) else f"{request.host}:{request.port}"
    request.headers = http.Headers(
        [(b"host", host.encode()), *((name.encode(), value.encode()) for name, value in headers.items())]
    )
    request.headers["content-length"] = str(len(body))
    return request


def _decoded(request: http.Request, limit: int) -> bytes:
    """The request's body without its content-encoding. Raises GatewayError."""
    raw = request.raw_content or b""
    try:
        return encoding.decode(raw, request.headers.get("content-encoding", ""), limit)
    except encoding.TooLarge:
        message = f"The decoded request body is larger than {limit} bytes (gateway_body_limit)."
        raise GatewayError(message, 413, "request_too_large") from None
    except (ValueError, *encoding.ERRORS) as error:
        raise GatewayError(f"The request body cannot be decoded: {error}", code="invalid_encoding") from None
