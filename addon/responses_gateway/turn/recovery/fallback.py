"""Sends a request to the fallback model when its own upstream cannot serve it."""

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.recovery.fault import RoundFault
from responses_gateway.turn.turn_services import TurnServices

_FAULTS_OF_THE_UPSTREAM = frozenset({"invalid_api_key", "model_not_found", "not_found", "upstream_unreachable"})
"""Codes of permanent errors that another upstream may not have."""


class Fallback:
    """Changes the route of one exchange, at most once."""

    def __init__(self, exchange: Exchange, services: TurnServices) -> None:
        self._exchange = exchange
        self._services = services
        self._is_used = False

    def switch(self, fault: RoundFault) -> bool:
        """Translate the request for the fallback model; False when there is none, or it would not help."""
        name = self._services.settings.fallback
        helps = fault.error.status != 400 or fault.error.code in _FAULTS_OF_THE_UPSTREAM
        if name is None or self._is_used or not helps:
            return False
        self._is_used = True
        before = self._exchange.upstream_request.route
        try:
            route = self._services.router.of(self._exchange.owner).resolve(name)
            if (route.base_url, route.model) == (before.base_url, before.model):
                return False
            self._exchange.upstream_request.reroute(route)
        except GatewayError:
            return False
        self._exchange.ledger.add("changed", "model", f"{before.model} → {route.model}: {fault.error.message[:200]}")
        return True
