"""One Responses call as the proxy layer serves it: upstream rounds until there is an answer, or nothing more to try.

A round that gave nothing may be followed by another one, as long as nothing of the answer was shown; `recovery` decides
that. A round in which the model called hosted tools is followed by one with their results.
"""

import asyncio
from collections.abc import Mapping

from mitmproxy import http

from responses_gateway.protocol import encoding
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.proxy import messages
from responses_gateway.proxy.contract import MAX_WHOLE_ANSWER, Failure
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import HostedCall
from responses_gateway.turn.error_response import error_response
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.ledger_header import ledger_header
from responses_gateway.turn.native_request import NativeRequest
from responses_gateway.turn.recovery.failure_errors import failure_error, server_error
from responses_gateway.turn.recovery.fault import RoundFault
from responses_gateway.turn.recovery.recovery import PassOn, Recovery
from responses_gateway.turn.recovery.resting_upstream import FINAL_FOR_CODEX
from responses_gateway.turn.turn_services import TurnServices

_FAILURES_FOR_CODEX = frozenset({"context_length_exceeded", "rate_limit_exceeded"})
"""Error codes that every Codex acts on in a failed response; most releases ignore them in a refusal."""

EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}

FINAL = frozenset({"turn_timeout", "shutdown", "killed", "crashed"})
"""Causes of failures that no further round can follow."""

_ANSWERED = frozenset({200, 201, 202, 203})
"""As good as 200, for clients of chat upstreams: some web frameworks answer every POST with 201."""


class ServedTurn:
    """Serves one exchange; `contract.Turn` for the proxy layer."""

    def __init__(
        self,
        exchange: Exchange,
        client_headers: Mapping[str, str],
        services: TurnServices,
        pass_on: PassOn | None = None,
    ) -> None:
        """`client_headers` have lower-case names. `pass_on` is for fallbacks that are not asked by chat/completions.

        Raises GatewayError when no upstream is to be asked now.
        """
        self.exchange = exchange
        self.limits = services.settings.time_limits
        self.client_headers = client_headers
        self.services = services
        self._answered = services.answered
        self._fault: RoundFault | None = None
        self._status = 0
        self._headers: dict[str, str] = {}
        self._response: JsonObject | None = None
        self._over = False
        """Whether no further round can follow."""

        self._recovery = Recovery(exchange, client_headers, services, pass_on)
        self._recovery.begin()
        self.request = self._begin_round()
        """What is sent to the upstream in the next round."""

    def _begin_round(self) -> http.Request:
        chat = self.exchange.upstream_request
        headers, body = chat.headers(self.client_headers), dumps(chat.body)
        hidden = [*map(str.lower, chat.route.own_headers)]
        self.exchange.observer.round_began(chat.url, headers, body, chat.route.secrets, hidden)
        return messages.request("POST", chat.url, headers, body)

    # How far the turn is ----------------------------------------------------------------------------------------------

    @property
    def model(self) -> str | None:
        """The model that the client asked for."""
        return self.exchange.request.model

    @property
    def passed_on(self) -> NativeRequest | None:
        """What takes over in the next round, untranslated."""
        return self._recovery.passed_on

    @property
    def ledger(self) -> Ledger:
        return self.exchange.ledger

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

    # The upstream's answer --------------------------------------------------------------------------------------------

    def begin(self, status: int, headers: http.Headers) -> bool:
        self._status = 200 if status in _ANSWERED else status
        self._headers = messages.read(headers)
        if self._status < 500:
            self._answered(self.exchange.upstream_request.route.provider, self.exchange.owner, self.client_headers)
        if self._status != 200 or not self.streams:
            return False
        try:
            self.exchange.begin(self._headers)
        except ValueError as error:
            message = f"{self._upstream} sent an answer that cannot be read: {error}."
            self._fault = RoundFault(server_error(502, message))
            return False
        return True

    def feed(self, data: bytes) -> bytes:
        return self._checked(self.exchange.feed(data))

    def finish(self) -> bytes:
        return self._checked(self.exchange.close())

    def _checked(self, out: bytes) -> bytes:
        """Pass `out` on, after a look at whether the upstream accepts the request."""
        if self.exchange.has_shown:
            self._recovery.accepted()
        if self.exchange.ignores_schema:
            self._recovery.request_repair.remember_ignored_schema()
        if self.exchange.fault is not None:
            self._fault = RoundFault.in_answer(self.exchange.fault)
        return out

    def take(self, body: bytes) -> None:
        unreadable = None
        try:
            body = encoding.decode(body, self._headers.get("content-encoding", ""), MAX_WHOLE_ANSWER)
        except (ValueError, *encoding.ERRORS) as fault:
            unreadable = server_error(502, f"The upstream's answer cannot be read: {fault}.")
        if self._status != 200:
            error = self.exchange.refusal(self._status, self._headers, body)
            self._fault = RoundFault.of_refusal(error, self._status, self._headers, body)
        elif unreadable is not None:
            self._fault = RoundFault(unreadable)
        elif self._fault is None:
            try:
                self._response = self.exchange.answer(self._status, self._headers, body)
            except GatewayError as error:
                self._fault = RoundFault.in_answer(error)
            else:
                self._recovery.accepted()

    def fail(self, failure: Failure) -> None:
        error = failure_error(failure, self._upstream, self.exchange.upstream_request.route.base_url)
        self.exchange.observer.round_ended(error.message, failure)
        self._fault = RoundFault.of_connection(error, failure)
        # An answer whose end has come is complete, whatever broke after it.
        self._over = self._over or failure.cause in FINAL or self.exchange.settled

    # The client's answer ----------------------------------------------------------------------------------------------

    def heartbeat(self) -> bytes:
        return self.told() + self.exchange.heartbeat()

    def told(self) -> bytes:
        return self.exchange.take_waiting() if self.streams else b""

    def head(self) -> http.Response:
        """Only the gateway's own headers: those of upstreams (`openai-model` …) mislead clients."""
        told = ledger_header(self.ledger)
        response = messages.response(200, b"", {**EVENT_STREAM, **told, "transfer-encoding": "chunked"})
        response.headers.pop("content-length", None)
        response.stream = True
        return response

    def end(self) -> bytes:
        return self.exchange.end_unstored() or self.exchange.cut(self._error)

    def last_words(self) -> bytes:
        return self.exchange.last_words(self._error)

    def answer(self) -> http.Response:
        if self._response is not None:
            told = ledger_header(self.ledger)
            return messages.response(200, dumps(self._response), {"content-type": "application/json", **told})
        error = self._error
        if self.streams and self.exchange.for_codex:
            if error.code in _FAILURES_FOR_CODEX:
                return messages.response(200, self.end() + self.exchange.end_unstored(), EVENT_STREAM)
            if error.status == 400:
                error.code = FINAL_FOR_CODEX
        return error_response(error)

    def presentable(self, body: bytes) -> bytes:
        return self.exchange.observer.clean(body)

    @property
    def _upstream(self) -> str:
        return self.exchange.upstream_request.route.profile.name

    @property
    def _error(self) -> GatewayError:
        if self._fault is not None:
            return self._fault.error
        return server_error(500, "The gateway has lost the answer; its log has the details.")

    # Further rounds ---------------------------------------------------------------------------------------------------

    async def next_round(self) -> bool:
        """Whether `request` is to be sent again, which is then made for the next round.

        Otherwise, the response is stored when this returns.
        """
        if await self._prepare_round():
            if self.passed_on is None:
                self.request = self._begin_round()
            return True
        await self.exchange.stored()
        return False

    async def _prepare_round(self) -> bool:
        if self.exchange.hosted_calls and self._fault is None and not self._over:
            return await self._carry_out()
        fault = self._fault
        if fault is None or self._over or self.exchange.ended:
            return False
        if not await self._recovery.recover(fault) or self._over:
            return False
        self._fault = None
        self.exchange.next_round()
        return True

    async def _carry_out(self) -> bool:
        """Carry out the hosted calls of the model; whether the model is then to be asked again."""
        exchange = self.exchange
        exchange.observer.round_ended()
        exchange.hosted.begin_round()
        async with asyncio.TaskGroup() as group:
            for call in exchange.hosted_calls:
                group.create_task(self._run(call))
        if not exchange.wants_round:
            self._response = exchange.completed_response
            return False
        if (excess := exchange.hosted.excess) is not None:
            self._fault = RoundFault(server_error(502, f"The model {excess}."))
            return False
        exchange.continue_answer()
        self._recovery.request_repair.apply_learned()
        return True

    async def _run(self, call: HostedCall) -> None:
        self.exchange.add_hosted_result(call, await self.exchange.hosted.run(call))
