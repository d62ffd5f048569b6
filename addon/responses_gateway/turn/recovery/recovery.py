"""Decides whether a request is sent again after a round that gave nothing, and prepares it."""

from collections.abc import Awaitable, Callable, Mapping

from responses_gateway.protocol.errors import EmptyAnswer, GatewayError
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer
from responses_gateway.translate.tools.offered_tools import ForbiddenCall
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.native_request import NativeRequest
from responses_gateway.turn.recovery.fallback import Fallback, note_switch
from responses_gateway.turn.recovery.fault import RoundFault
from responses_gateway.turn.recovery.model_names import name_models
from responses_gateway.turn.recovery.request_repair import RequestRepair
from responses_gateway.turn.recovery.resting_upstream import RestingUpstream
from responses_gateway.turn.recovery.retry import Retry
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.routing import Route

type PassOn = Callable[[Route, Ledger], Awaitable[NativeRequest | None]]
"""Makes what is sent if the same call goes to a route untranslated; None where chat/completions is asked."""


class Recovery:
    """The recovery strategies of one exchange, in the order in which they are tried."""

    def __init__(
        self,
        exchange: Exchange,
        client_headers: Mapping[str, str],
        services: TurnServices,
        pass_on: PassOn | None = None,
    ) -> None:
        self.passed_on: NativeRequest | None = None
        """What takes over, when the fallback is not asked by chat/completions."""

        self._pass_on = pass_on
        self._exchange = exchange
        self._client_headers = client_headers
        self._services = services
        self.request_repair = RequestRepair(exchange, services.learned_repairs)
        self._retry = Retry(exchange.ledger, services)
        self._fallback = Fallback(exchange.owner, services)
        is_final = exchange.streams and exchange.for_codex
        self._upstream = RestingUpstream(exchange.owner, lambda: self._route, services.health, for_codex=is_final)

    @property
    def _route(self) -> Route:
        return self._exchange.upstream_request.route

    def begin(self) -> None:
        """Prepare the first round. Raises GatewayError when the upstream rests and no other one takes over."""
        self.request_repair.apply_learned()
        fault = self._upstream.fault()
        if fault is None:
            return
        before, route = self._route, self._fallback.route(fault, self._route)
        if route is not None and self._reroute(route):
            self._switched(before, route, fault)
            if self._upstream.fault() is None:
                return
        raise self._upstream.final(fault.error)

    def accepted(self) -> None:
        """The upstream answers the request."""
        self.request_repair.accepted()
        self._upstream.worked()

    async def recover(self, fault: RoundFault) -> bool:
        """Whether the request is to be sent again, which is prepared then. May wait before it returns."""
        if isinstance(fault.error, NonCompliantAnswer | ForbiddenCall):
            # What was shown of the answer stands on its own: reasoning, or words before a call.
            self._exchange.correct(fault.error)
            return True
        if self._exchange.has_shown:
            return False
        if self._ask_whole(fault) or self.request_repair.repair(fault):
            return True
        rest = self._upstream.failed(fault)
        if rest is None and await self._retry.wait(fault, self._upstream.faults):
            return True
        if await self._switch(fault):
            return True
        if rest is not None:
            self._upstream.explain(fault.error, rest)
        if fault.error.code in ("model_not_found", "not_found"):
            headers = self._exchange.upstream_request.headers(self._client_headers)
            await name_models(fault.error, self._route, self._exchange.owner, headers, self._services)
        return False

    async def _switch(self, fault: RoundFault) -> bool:
        """Prepare the request for the fallback model, if there is one that takes it."""
        before, route = self._route, self._fallback.route(fault, self._route)
        if route is None:
            return False
        # A client that has seen the beginning of a response gets no other one.
        if self._pass_on is not None and not self._exchange.has_begun:
            try:
                self.passed_on = await self._pass_on(route, self._exchange.ledger)
            except GatewayError:
                return False
        if self.passed_on is None and not self._reroute(route):
            return False
        self._switched(before, route, fault)
        return True

    def _reroute(self, route: Route) -> bool:
        """Translate the request for another route; False when that is not possible."""
        try:
            self._exchange.upstream_request.reroute(route)
        except GatewayError:
            return False
        return True

    def _switched(self, before: Route, after: Route, fault: RoundFault) -> None:
        note_switch(self._exchange.ledger, before, after, fault)
        self._upstream.replaced(before)
        self._retry.reset()
        self.request_repair.reset()

    def _ask_whole(self, fault: RoundFault) -> bool:
        """Some servers (llama-cpp-python) answer with an empty stream what they would otherwise refuse in words."""
        may_repeat = self._services.settings.retries > 0
        return may_repeat and isinstance(fault.error, EmptyAnswer) and self._exchange.ask_whole()
