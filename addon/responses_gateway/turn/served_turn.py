"""One Responses call as the proxy layer serves it: upstream rounds until there is an answer, or nothing more to try.

A round that gave nothing may be followed by another one, as long as nothing of the answer was shown: with a repaired
request, after a wait, or to another upstream.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from mitmproxy import http

from responses_gateway.hosted.web_search import Searches
from responses_gateway.protocol import encoding
from responses_gateway.protocol.errors import EmptyAnswer, GatewayError
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.proxy import messages
from responses_gateway.proxy.contract import MAX_WHOLE_ANSWER, Failure, Limits
from responses_gateway.proxy.guard import MESSAGE
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.repair.request_healing import ROUNDS, heal
from responses_gateway.translate.repair.request_repairs import Repair, apply, describe
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer
from responses_gateway.translate.repair.upstream_errors import told_wait
from responses_gateway.translate.tools.offered_tools import ForbiddenCall
from responses_gateway.translate.tools.web_search import SearchSettings
from responses_gateway.turn.exchange import Exchange
from responses_gateway.upstream.learned_repairs import Learnt
from responses_gateway.upstream.routing import Route, Router

SHORT_WAIT = 5.0
"""Seconds that an upstream may ask to wait; clients that can wait longer are told so instead."""

FIRST_WAIT = 0.5
"""Seconds before the first retry when nobody says how long; doubled each time."""

_PERMANENT = frozenset(
    {"context_length_exceeded", "insufficient_quota", "invalid_api_key", "model_not_found", "not_found"}
)
"""Codes of errors that neither a repair nor patience mends."""

_FAULTS_OF_THE_UPSTREAM = frozenset({"invalid_api_key", "model_not_found", "not_found", "upstream_unreachable"})
"""Codes of permanent errors that another upstream may not have."""

_FAILURES_FOR_CODEX = frozenset({"context_length_exceeded", "rate_limit_exceeded"})
"""Codes that every Codex acts on in a failed response; of a refusal with them, most releases make nothing."""

_SHOWN_BY_CODEX = "invalid_prompt"
"""The code of a permanent refusal of which Codex shows the message; of others, all of the JSON."""

_EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}

_WRONG_ADDRESS = {
    "Certificate verify failed": "mitmproxy's option ssl_verify_upstream_trusted_ca names an authority of your own.",
    "does not speak TLS": "Is it http:// instead of https://?",
}
"""What mitmproxy says of a TLS handshake that will always fail, and what to do about it."""

_FINAL = frozenset({"turn_timeout", "shutdown", "crashed"})
"""Causes of failures that no further round can follow."""

_TRANSIENT_STATUS = frozenset({408, 425, 502, 503, 504, 529})
_ANSWERED = frozenset({200, 201, 202, 203})
"""As good as 200, for clients of chat upstreams: some web frameworks answer every POST with 201."""

_HEALABLE_STATUS = frozenset({400, 415, 422, 500, 501})
_MODELS_NAMED = 10

type FetchModels = Callable[[Route, Mapping[str, str]], Awaitable[list[JsonObject] | None]]
"""Asks an upstream for its model list (`data` of its /models), with request headers; None when it has none."""


@dataclass(frozen=True)
class Means:
    """What turns use to recover from what goes wrong upstream."""

    settings: Settings
    router: Router
    learnt: Learnt
    fetch_models: FetchModels
    search: Callable[[SearchSettings, Ledger, int | None], Searches] | None = None
    """Makes what carries out the searches of one response; takes the limit of their number, too."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    """A number from 0 to 1."""

    now: Callable[[], float] = time.monotonic
    asked_for_models: set[tuple[str, str]] = field(default_factory=set)
    """Owners and base URLs: who had it asked for its model list, successfully or not."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why a round gave nothing."""

    error: GatewayError
    evidence: str = ""
    """All that the upstream said, for repairs; empty when the request is not to blame."""

    transient: bool = False
    wait: float | None = None
    """Seconds that the upstream asks to wait."""


class ServedTurn:
    """Serves one exchange; `contract.Turn` for the proxy layer."""

    def __init__(self, exchange: Exchange, client_headers: Mapping[str, str], means: Means) -> None:
        self.exchange = exchange
        self.client_headers = client_headers
        self.request = messages.request("POST", exchange.url, {})
        """What is sent to the upstream in the next round."""
        self._means = means
        self._fault: _Fault | None = None
        self._status = 0
        self._headers: dict[str, str] = {}
        self._response: JsonObject | None = None
        self._repairs: list[Repair] = []
        self._retries = 0
        self._since: float | None = None
        self._fell_back = False
        self._over = False
        self.limits = limits_of(means.settings)
        self._apply_learnt()
        self._searches: Searches | None = None
        if exchange.search is not None and means.search is not None:
            limit = exchange.request.max_tool_calls
            self._searches = means.search(exchange.search, exchange.ledger, limit)

    # What the layer asks ----------------------------------------------------------------------------------------------

    @property
    def streams(self) -> bool:
        return self.exchange.streams

    @property
    def ended(self) -> bool:
        return self.exchange.ended and self.exchange.streams and not self.exchange.is_storing

    @property
    def is_storing(self) -> bool:
        return self.exchange.is_storing and self.exchange.streams

    @property
    def settled(self) -> bool:
        return self.exchange.settled

    @property
    def flows(self) -> bool:
        return self.exchange.flows

    @property
    def round_over(self) -> bool:
        return self.exchange.fault is not None

    @property
    def content(self) -> int:
        return self.exchange.content

    @property
    def keep_alives(self) -> int:
        return self.exchange.keep_alives

    def begin(self, status: int, headers: http.Headers) -> bool:
        self._status = 200 if status in _ANSWERED else status
        self._headers = messages.read(headers)
        if self._status != 200 or not self.streams:
            return False
        try:
            self.exchange.begin(self._headers)
        except ValueError as error:
            message = f"{self._upstream} sent an answer that cannot be read: {error}."
            self._fault = _Fault(_upstream_error(502, message))
            return False
        return True

    def feed(self, data: bytes) -> bytes:
        return self._noting(self.exchange.feed(data))

    def finish(self) -> bytes:
        return self._noting(self.exchange.close())

    def _noting(self, out: bytes) -> bytes:
        """Pass `out` on, after a look at what the upstream makes of the request."""
        if self._repairs and self.exchange.has_shown:
            self._accepted()
        if self.exchange.fault is not None:
            self._fault = self._fault_in_band(self.exchange.fault)
        return out

    def take(self, body: bytes) -> None:
        unreadable = None
        try:
            body = encoding.decode(body, self._headers.get("content-encoding", ""), MAX_WHOLE_ANSWER)
        except (ValueError, *encoding.ERRORS) as fault:
            unreadable = _upstream_error(502, f"The upstream's answer cannot be read: {fault}.")
        if self._status != 200:
            error = self.exchange.refusal(self._status, self._headers, body)
            text = body[:65536].decode("utf-8", "replace")
            wait = told_wait(self._headers, error.message)
            rate_limited = error.code == "rate_limit_exceeded" and wait is not None
            self._fault = _Fault(
                error,
                text if self._status in _HEALABLE_STATUS else "",
                self._status in _TRANSIENT_STATUS or rate_limited,
                wait,
            )
        elif unreadable is not None:
            self._fault = _Fault(unreadable)
        elif self._fault is None:
            try:
                self._response = self.exchange.answer(self._status, self._headers, body)
            except GatewayError as error:
                self._fault = self._fault_in_band(error)
            else:
                self._accepted()

    def fail(self, failure: Failure) -> None:
        error = self._explain(failure)
        self.exchange.observer.round_ended(error.message, failure)
        transient = failure.cause in ("refused", "connect_timeout", "broken") and error.status >= 500
        self._fault = _Fault(error, transient=transient)
        # An answer whose end has come is complete, whatever broke behind it.
        self._over = self._over or failure.cause in _FINAL or self.exchange.settled

    def heartbeat(self) -> bytes:
        return self.told() + self.exchange.heartbeat()

    def told(self) -> bytes:
        return self.exchange.told() if self.streams else b""

    def head(self) -> http.Response:
        """Only what we say ourselves: headers of upstreams (`openai-model` …) mislead clients."""
        response = messages.response(200, b"", {**_EVENT_STREAM, "transfer-encoding": "chunked"})
        response.headers.pop("content-length", None)
        response.stream = True
        return response

    def end(self) -> bytes:
        return self.exchange.end_unstored() or self.exchange.cut(self._error)

    def last_words(self) -> bytes:
        return self.exchange.last_words(self._error)

    def answer(self) -> http.Response:
        if self._response is not None:
            return messages.response(200, dumps(self._response), {"content-type": "application/json"})
        error = self._error
        if self.streams and self.exchange.for_codex:
            if error.code in _FAILURES_FOR_CODEX:
                return messages.response(200, self.end() + self.exchange.end_unstored(), _EVENT_STREAM)
            if error.status == 400:
                error.code = _SHOWN_BY_CODEX
        return error_response(error)

    def presentable(self, body: bytes) -> bytes:
        return self.exchange.observer.redactor.clean(body)

    # Further rounds ---------------------------------------------------------------------------------------------------

    async def next_round(self) -> bool:
        """Whether the request is to be sent again; the exchange then holds what to send, and where.

        Otherwise, the response is stored when this returns.
        """
        again = await self._prepare_round()
        if not again:
            await self.exchange.stored()
        return again

    async def _prepare_round(self) -> bool:
        if self.exchange.hosted_call is not None and self._fault is None and not self._over:
            return await self._search()
        fault = self._fault
        if fault is None or self._over or self.exchange.ended:
            return False
        if isinstance(fault.error, NonCompliantAnswer | ForbiddenCall):
            # What was shown of the answer stands on its own: reasoning, or words before a call.
            self._fault = None
            self.exchange.correct(fault.error)
            self.exchange.next_round()
            return True
        if self.exchange.has_shown:
            return False
        if (self._repair(fault) or await self._retry(fault) or self._fall_back(fault)) and not self._over:
            self._fault = None
            self.exchange.next_round()
            return True
        if fault.error.code in ("model_not_found", "not_found"):
            await self._name_models(fault.error)
        return False

    async def _search(self) -> bool:
        """Carry out what the model asked of the gateway; whether the model is then to be asked again."""
        exchange = self.exchange
        assert self._searches is not None  # noqa: S101 (such calls are only offered when they can be served)
        exchange.observer.round_ended()
        self._searches.begin_round()
        while (call := exchange.hosted_call) is not None:
            exchange.add_search_result(await self._searches.run(call))
        if not exchange.wants_round:
            self._response = exchange.response
            return False
        if self._searches.exhausted:
            limit = self._means.settings.search_rounds
            self._fault = _Fault(_upstream_error(502, f"The model went on searching after {limit} rounds of it."))
            return False
        exchange.go_on()
        self._apply_learnt()
        return True

    def _repair(self, fault: _Fault) -> bool:
        exchange = self.exchange
        if not fault.evidence or fault.error.code in _PERMANENT or len(self._repairs) >= ROUNDS:
            return False
        healed = heal(exchange.chat_body, fault.evidence, self._repairs)
        if healed is None:
            return False
        exchange.chat_body = healed.body
        self._repairs.append(healed.repair)
        what, how = describe(healed.repair)
        exchange.ledger.add(
            "repaired", what, f"{how}, because {self._upstream} refused it: {fault.error.message[:200]}"
        )
        return True

    async def _retry(self, fault: _Fault) -> bool:
        settings, now = self._means.settings, self._means.now()
        if self._since is None:
            self._since = now
        if not fault.transient or self._retries >= settings.retries:
            return False
        wait = fault.wait
        if wait is None:
            wait = FIRST_WAIT * 2**self._retries * (0.5 + self._means.jitter())
            if isinstance(fault.error, EmptyAnswer):
                wait = 0.0
        elif wait > SHORT_WAIT:
            return False
        if now - self._since + wait > settings.retry_budget:
            return False
        self._retries += 1
        self.exchange.ledger.add("repaired", "output", f"asked again after: {fault.error.message[:200]}")
        await self._means.sleep(wait)
        return True

    def _fall_back(self, fault: _Fault) -> bool:
        name = self._means.settings.fallback
        elsewhere = fault.error.status != 400 or fault.error.code in _FAULTS_OF_THE_UPSTREAM
        if name is None or self._fell_back or not elsewhere:
            return False
        self._fell_back = True
        before = self.exchange.route
        try:
            route = self._means.router.of(self.exchange.owner).resolve(name)
            if (route.base_url, route.model) == (before.base_url, before.model):
                return False
            self.exchange.reroute(route)
        except GatewayError:
            return False
        self.exchange.ledger.add("changed", "model", f"{before.model} → {route.model}: {fault.error.message[:200]}")
        self._repairs.clear()
        self._retries = 0
        self._since = None
        self._apply_learnt()
        return True

    async def _name_models(self, error: GatewayError) -> None:
        """Say which models the upstream has, as far as it tells."""
        route, means = self.exchange.route, self._means
        router, asked = means.router.of(self.exchange.owner), (self.exchange.owner, route.base_url)
        ids = router.listed(route.provider)
        if ids is None and asked not in means.asked_for_models:
            means.asked_for_models.add(asked)
            entries = await means.fetch_models(route, self.exchange.upstream_headers(self.client_headers))
            if entries is not None:
                router.learn(route.provider, entries)
                ids = router.listed(route.provider)
        if ids:
            near = get_close_matches(route.model, ids, _MODELS_NAMED, cutoff=0.4)
            named = list(dict.fromkeys([*near, *ids]))[:_MODELS_NAMED]
            more = f" and {len(ids) - len(named)} more" if len(ids) > len(named) else ""
            error.message = f"{error.message.rstrip('. ')}. {self._upstream} has {', '.join(named)}{more}."
        elif error.code == "not_found":
            error.message = f"{error.message.rstrip('. ')}. Is the base URL {route.base_url} right?"

    # What was learnt --------------------------------------------------------------------------------------------------

    def _apply_learnt(self) -> None:
        exchange = self.exchange
        route = exchange.route
        for repair in self._means.learnt.repairs(exchange.owner, route.base_url, route.model):
            repaired = apply(exchange.chat_body, repair)
            if repaired is not None:
                exchange.chat_body = repaired
                what, how = describe(repair)
                exchange.ledger.add("learnt", what, f"{how}: {self._upstream} refused it before")

    def _accepted(self) -> None:
        """What was repaired is worth remembering, now that the upstream takes the request."""
        route = self.exchange.route
        for repair in self._repairs:
            self._means.learnt.add(self.exchange.owner, route.base_url, route.model, repair)
            self.exchange.ledger.add("learnt", describe(repair)[0], f"kept for {route.model} at {route.base_url}")
        self._repairs.clear()

    # Errors -----------------------------------------------------------------------------------------------------------

    @property
    def _upstream(self) -> str:
        return self.exchange.route.profile.name

    @property
    def _error(self) -> GatewayError:
        if self._fault is not None:
            return self._fault.error
        return _upstream_error(500, "The gateway has lost the answer; its log has the details.")

    def _fault_in_band(self, error: GatewayError) -> _Fault:
        """An error that came with status 200."""
        wait = told_wait({}, error.message)
        transient = (
            error.status == 503
            or isinstance(error, EmptyAnswer)
            or (error.code == "rate_limit_exceeded" and wait is not None)
        )
        evidence = "" if transient else error.message
        return _Fault(error, evidence, transient, wait)

    def _explain(self, failure: Failure) -> GatewayError:
        upstream, seconds = f"{self._upstream} ({self.exchange.route.base_url})", f"{failure.seconds:g} s"
        match failure.cause:
            case "refused":
                return _unreachable(upstream, failure.text.rstrip("."))
            case "connect_timeout":
                return _upstream_error(
                    504, f"{upstream} did not accept a connection within {seconds} (gateway_connect_timeout)."
                )
            case "first_byte_timeout":
                return _upstream_error(
                    504, f"{upstream} did not begin to answer within {seconds} (gateway_first_byte_timeout)."
                )
            case "idle_timeout":
                return _upstream_error(504, f"{upstream} sent no content for {seconds} (gateway_idle_timeout).")
            case "queue_timeout":
                return _upstream_error(
                    504, f"{upstream} sent nothing but keep-alives for {seconds} (gateway_queue_timeout)."
                )
            case "turn_timeout":
                return _upstream_error(
                    504, f"The turn with {upstream} is not over after {seconds} (gateway_turn_timeout)."
                )
            case "broken":
                return _upstream_error(
                    502, f"{upstream} closed the connection before its answer was complete: {failure.text}."
                )
            case "too_large":
                return _upstream_error(502, f"The answer of {upstream} is too large: {failure.text}.")
            case "shutdown":
                return _upstream_error(503, "the gateway is shutting down")
            case "crashed":
                return _upstream_error(500, MESSAGE)


def limits_of(settings: Settings) -> Limits:
    """The time limits of a turn."""
    return Limits(
        heartbeat=settings.heartbeat,
        connect=settings.connect_timeout,
        first_byte=settings.first_byte_timeout,
        idle=settings.idle_timeout,
        queue=settings.queue_timeout,
        turn=settings.turn_timeout,
    )


def error_response(error: GatewayError) -> http.Response:
    """An error as the whole answer."""
    headers = {"content-type": "application/json"}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    return messages.response(error.status, dumps(error.body()), headers)


def _unreachable(upstream: str, why: str) -> GatewayError:
    """Connections were refused: what the address is to blame for is as permanent as a wrong key."""
    message = f"Cannot connect to {upstream}: {why}."
    hint = next((hint for words, hint in _WRONG_ADDRESS.items() if words in why), None)
    if hint is None:
        return _upstream_error(502, message)
    return GatewayError(f"{message} {hint}", 400, "upstream_unreachable", type="server_error")


def _upstream_error(status: int, message: str) -> GatewayError:
    return GatewayError(message, status, "server_error", type="server_error")
