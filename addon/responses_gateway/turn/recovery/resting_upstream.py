"""What a turn does about an upstream that keeps failing: it spares it, and tells the client since when it fails."""

from datetime import datetime, timedelta

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.recovery.failure_errors import server_error
from responses_gateway.turn.recovery.fault import RoundFault
from responses_gateway.upstream.health import Rest, UpstreamHealth, UpstreamKey

FINAL_FOR_CODEX = "invalid_prompt"
"""The code of an error that Codex does not retry and whose message it shows; of others, it shows all of the JSON."""


class RestingUpstream:
    """The health of the upstream that an exchange is routed to."""

    def __init__(self, exchange: Exchange, health: UpstreamHealth) -> None:
        self._exchange = exchange
        self._health = health

    @property
    def key(self) -> UpstreamKey:
        """The upstream of this moment."""
        route = self._exchange.upstream_request.route
        return UpstreamKey(self._exchange.owner, route.base_url, route.model)

    @property
    def faults(self) -> int:
        """How many rounds in a row have failed, of any turn."""
        return self._health.faults(self.key)

    def fault(self) -> RoundFault | None:
        """Why the upstream is not to be asked now; None if it may be."""
        rest = self._health.resting(self.key)
        return RoundFault(self._error(rest)) if rest is not None else None

    def failed(self, fault: RoundFault) -> Rest | None:
        """Note a fault; the upstream's rest if it is not to be asked any more."""
        if not fault.blames_upstream:
            return None
        return self._health.failed(self.key, fault.error.message, mute=fault.is_mute)

    def explain(self, error: GatewayError, rest: Rest) -> None:
        """Tell the client of the rest, instead of its last cause alone."""
        told = self.final(self._error(rest))
        error.message, error.status = told.message, told.status
        error.code, error.retry_after = told.code, told.retry_after

    def replaced(self, key: UpstreamKey) -> None:
        """Another upstream took over from that one."""
        self._health.replaced(key)

    def worked(self) -> None:
        """The upstream answers."""
        self._health.worked(self.key)

    def final(self, error: GatewayError) -> GatewayError:
        """The error, in the form on which its client stops asking. Codex would repeat a 503 some thirty times."""
        if self._exchange.streams and self._exchange.for_codex:
            error.status, error.code, error.retry_after = 400, FINAL_FOR_CODEX, None
        return error

    def _error(self, rest: Rest) -> GatewayError:
        route, now = self._exchange.upstream_request.route, datetime.now().astimezone()
        since, until = now - timedelta(seconds=rest.since), now + timedelta(seconds=rest.remaining)
        failed = f"has failed {rest.faults} times in a row since {since:%H:%M:%S}"
        spared = f"is not asked again before {until:%H:%M:%S}"
        where = f"{route.profile.name} ({route.base_url})"
        error = server_error(503, f"{where} {failed}, and {spared}. Last: {rest.message}")
        error.retry_after = rest.remaining
        return error
