"""What a turn does about an upstream that keeps failing: it spares it, and tells the client since when it fails."""

from collections.abc import Callable
from datetime import datetime, timedelta

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.turn.recovery.failure_errors import server_error
from responses_gateway.turn.recovery.fault import RoundFault
from responses_gateway.upstream.health import Rest, UpstreamHealth, UpstreamKey
from responses_gateway.upstream.routing import Route

FINAL_FOR_CODEX = "invalid_prompt"
"""The code of an error that Codex does not retry and whose message it shows; of others, it shows all of the JSON."""


class RestingUpstream:
    """The health of the upstream that one turn is routed to.

    `route` gives the route of the moment. `for_codex`: a Codex gets the answer as a stream.
    """

    def __init__(self, owner: str, route: Callable[[], Route], health: UpstreamHealth, *, for_codex: bool) -> None:
        self._owner = owner
        self._route = route
        self._health = health
        self._for_codex = for_codex

    @property
    def _key(self) -> UpstreamKey:
        return self._key_of(self._route())

    def _key_of(self, route: Route) -> UpstreamKey:
        return UpstreamKey(self._owner, route.base_url, route.model)

    @property
    def faults(self) -> int:
        """How many rounds in a row have failed, of any turn."""
        return self._health.faults(self._key)

    def fault(self) -> RoundFault | None:
        """Why the upstream is not to be asked now; None if it may be."""
        rest = self._health.resting(self._key)
        return RoundFault(self._error(rest)) if rest is not None else None

    def failed(self, fault: RoundFault) -> Rest | None:
        """Note a fault; the upstream's rest if it is not to be asked any more. A refusal shows that it is there."""
        if fault.is_elsewhere:
            return None
        if not fault.blames_upstream:
            self.worked()
            return None
        return self._health.failed(self._key, fault.error.message, mute=fault.is_mute)

    def explain(self, error: GatewayError, rest: Rest) -> None:
        """Tell the client of the rest, instead of its last cause alone."""
        told = self.final(self._error(rest))
        error.message, error.status = told.message, told.status
        error.code, error.retry_after = told.code, told.retry_after

    def replaced(self, route: Route) -> None:
        """Another upstream took over from the one of that route."""
        self._health.replaced(self._key_of(route))

    def worked(self) -> None:
        """The upstream answers."""
        self._health.worked(self._key)

    def final(self, error: GatewayError) -> GatewayError:
        """The error, in the form on which its client stops asking. Codex would repeat a 503 some thirty times."""
        if self._for_codex:
            error.status, error.code, error.retry_after = 400, FINAL_FOR_CODEX, None
        return error

    def _error(self, rest: Rest) -> GatewayError:
        route, now = self._route(), datetime.now().astimezone()
        since, until = now - timedelta(seconds=rest.since), now + timedelta(seconds=rest.remaining)
        failed = f"has failed {rest.faults} times in a row since {since:%H:%M:%S}"
        spared = f"is not asked again before {until:%H:%M:%S}"
        where = f"{route.profile.name} ({route.base_url})"
        error = server_error(503, f"{where} {failed}, and {spared}. Last: {rest.message}")
        error.retry_after = rest.remaining
        return error
