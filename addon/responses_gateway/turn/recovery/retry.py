"""Sends a request again after a fault that may pass."""

from responses_gateway.protocol.errors import EmptyAnswer
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn.recovery.fault import RoundFault
from responses_gateway.turn.turn_services import TurnServices

SHORT_WAIT = 5.0
"""Seconds that an upstream may ask to wait; clients that can wait longer are told so instead."""

FIRST_WAIT = 0.5
"""Seconds before the first retry when nobody says how long; doubled each time."""


class Retry:
    """Counts the retries of one turn at one upstream, and the time that they take."""

    def __init__(self, ledger: Ledger, services: TurnServices) -> None:
        self._ledger = ledger
        self._services = services
        self._retries = 0
        self._since: float | None = None
        """When the first fault came, by the services' `now`."""

    async def wait(self, fault: RoundFault) -> bool:
        """Wait until the request is worth sending again; False at once when it is not."""
        settings, now = self._services.settings, self._services.now()
        if self._since is None:
            self._since = now
        if not fault.transient or self._retries >= settings.retries:
            return False
        wait = fault.wait
        if wait is None:
            wait = FIRST_WAIT * 2**self._retries * (0.5 + self._services.jitter())
            if isinstance(fault.error, EmptyAnswer):
                wait = 0.0
        elif wait > SHORT_WAIT:
            return False
        if now - self._since + wait > settings.retry_budget:
            return False
        self._retries += 1
        self._ledger.add("repaired", "output", f"asked again after: {fault.error.message[:200]}")
        await self._services.sleep(wait)
        return True

    def reset(self) -> None:
        """The request goes to another upstream."""
        self._retries = 0
        self._since = None
