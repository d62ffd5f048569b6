"""Sends a request to the fallback model when its own upstream cannot serve it."""

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn.recovery.fault import RoundFault
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.routing import Route

_FAULTS_OF_THE_UPSTREAM = frozenset({"invalid_api_key", "model_not_found", "not_found", "upstream_unreachable"})
"""Codes of permanent errors that another upstream may not have."""


class Fallback:
    """The other route of one turn, at most once."""

    def __init__(self, owner: str, services: TurnServices) -> None:
        self._owner = owner
        self._services = services
        self._is_used = False

    def route(self, fault: RoundFault, before: Route) -> Route | None:
        """Where the fallback model is; None when there is none, or it would not help."""
        name = self._services.settings.fallback
        helps = fault.error.status != 400 or fault.error.code in _FAULTS_OF_THE_UPSTREAM
        if name is None or self._is_used or not helps:
            return None
        self._is_used = True
        try:
            route = self._services.router.of(self._owner).resolve(name)
        except GatewayError:
            return None
        return None if (route.base_url, route.model) == (before.base_url, before.model) else route


def note_switch(ledger: Ledger, before: Route, after: Route, fault: RoundFault) -> None:
    """The request goes to another route because of `fault`."""
    ledger.add("changed", "model", f"{before.model} → {after.model}: {fault.error.message[:200]}")
