"""Decides whether a request is sent again after a round that gave nothing, and prepares it."""

from collections.abc import Awaitable, Callable, Mapping

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer
from responses_gateway.translate.tools.offered_tools import ForbiddenCall
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.native_request import NativeRequest
from responses_gateway.turn.recovery.fallback import Fallback, note_switch
from responses_gateway.turn.recovery.fault import RoundFault
from responses_gateway.turn.recovery.model_names import name_models
from responses_gateway.turn.recovery.request_repair import RequestRepair
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

    async def recover(self, fault: RoundFault) -> bool:
        """Whether the request is to be sent again, which is prepared then. May wait before it returns."""
        if isinstance(fault.error, NonCompliantAnswer | ForbiddenCall):
            # What was shown of the answer stands on its own: reasoning, or words before a call.
            self._exchange.correct(fault.error)
            return True
        if self._exchange.has_shown:
            return False
        if self.request_repair.repair(fault) or await self._retry.wait(fault):
            return True
        if await self._switch(fault):
            self._retry.reset()
            self.request_repair.reset()
            return True
        if fault.error.code in ("model_not_found", "not_found"):
            request = self._exchange.upstream_request
            headers = request.headers(self._client_headers)
            await name_models(fault.error, request.route, self._exchange.owner, headers, self._services)
        return False

    async def _switch(self, fault: RoundFault) -> bool:
        """Prepare the request for the fallback model, if there is one that takes it."""
        request = self._exchange.upstream_request
        before = request.route
        route = self._fallback.route(fault, before)
        if route is None:
            return False
        try:
            # A client that has seen the beginning of a response gets no other one.
            if self._pass_on is not None and not self._exchange.has_begun:
                self.passed_on = await self._pass_on(route, self._exchange.ledger)
            if self.passed_on is None:
                request.reroute(route)
        except GatewayError:
            return False
        note_switch(self._exchange.ledger, before, route, fault)
        return True
