"""Decides whether a request is sent again after a round that gave nothing, and prepares it."""

from collections.abc import Mapping

from responses_gateway.protocol.errors import EmptyAnswer
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer
from responses_gateway.translate.tools.offered_tools import ForbiddenCall
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.recovery.fallback import Fallback
from responses_gateway.turn.recovery.fault import RoundFault
from responses_gateway.turn.recovery.model_names import name_models
from responses_gateway.turn.recovery.request_repair import RequestRepair
from responses_gateway.turn.recovery.resting_upstream import RestingUpstream
from responses_gateway.turn.recovery.retry import Retry
from responses_gateway.turn.turn_services import TurnServices


class Recovery:
    """The recovery strategies of one exchange, in the order in which they are tried."""

    def __init__(self, exchange: Exchange, client_headers: Mapping[str, str], services: TurnServices) -> None:
        self._exchange = exchange
        self._client_headers = client_headers
        self._services = services
        self.request_repair = RequestRepair(exchange, services.learned_repairs)
        self._retry = Retry(exchange.ledger, services)
        self._fallback = Fallback(exchange, services)
        self._upstream = RestingUpstream(exchange, services.health)

    def begin(self) -> None:
        """Prepare the first round. Raises GatewayError when the upstream rests and no other one takes over."""
        self.request_repair.apply_learned()
        fault = self._upstream.fault()
        if fault is not None and not (self._switch(fault) and self._upstream.fault() is None):
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
        if self._switch(fault):
            return True
        if rest is not None:
            self._upstream.explain(fault.error, rest)
        if fault.error.code in ("model_not_found", "not_found"):
            await name_models(fault.error, self._exchange, self._client_headers, self._services)
        return False

    def _switch(self, fault: RoundFault) -> bool:
        """Whether another upstream takes over."""
        before = self._upstream.key
        if not self._fallback.switch(fault):
            return False
        self._upstream.replaced(before)
        self._retry.reset()
        self.request_repair.reset()
        return True

    def _ask_whole(self, fault: RoundFault) -> bool:
        """Some servers (llama-cpp-python) answer with an empty stream what they would otherwise refuse in words."""
        may_repeat = self._services.settings.retries > 0
        return may_repeat and isinstance(fault.error, EmptyAnswer) and self._exchange.ask_whole()
