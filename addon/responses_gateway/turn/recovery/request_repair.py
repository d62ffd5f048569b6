"""Repairs requests that an upstream refused, and remembers the repairs that helped."""

from responses_gateway.translate.repair.request_healing import ROUNDS, heal
from responses_gateway.translate.repair.request_repairs import IGNORES_SCHEMA, Repair, apply, describe, loses
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.recovery.fault import RoundFault
from responses_gateway.upstream.learned_repairs import LearnedRepairs

_PERMANENT = frozenset(
    {"context_length_exceeded", "insufficient_quota", "invalid_api_key", "model_not_found", "not_found"}
)
"""Codes of errors that no repair of the request removes."""


class RequestRepair:
    """The repairs of one exchange's request."""

    def __init__(self, exchange: Exchange, learned: LearnedRepairs) -> None:
        self._exchange = exchange
        self._learned = learned
        self._unproven: list[Repair] = []
        """Repairs of requests that no upstream has accepted yet."""

    def apply_learned(self) -> None:
        """Repair what this upstream refused before."""
        exchange, request = self._exchange, self._exchange.upstream_request
        route = request.route
        learned = self._learned.repairs(exchange.owner, route.base_url, route.model)
        if IGNORES_SCHEMA in learned:
            exchange.distrust()
        for repair in learned:
            if route.profile.strict and loses(repair):
                continue
            repaired = apply(request.body, repair)
            if repaired is not None:
                request.body = repaired
                what, how = describe(repair)
                why = f"{how}: {route.profile.name} refused it before"
                exchange.ledger.add("learnt", what, why, loss=loses(repair))

    def repair(self, fault: RoundFault) -> bool:
        """Repair what the upstream complains of; whether there was something to repair."""
        if not fault.evidence or fault.error.code in _PERMANENT or len(self._unproven) >= ROUNDS:
            return False
        request = self._exchange.upstream_request
        healed = heal(request.body, fault.evidence, self._unproven)
        if healed is None or (request.route.profile.strict and loses(healed.repair)):
            return False
        request.body = healed.body
        self._unproven.append(healed.repair)
        what, how = describe(healed.repair)
        why = f"{how}, because {request.route.profile.name} refused it: {fault.error.message[:200]}"
        self._exchange.ledger.add("repaired", what, why, loss=loses(healed.repair))
        return True

    def accepted(self) -> None:
        """The upstream accepts the request: remember its repairs."""
        route = self._exchange.upstream_request.route
        for repair in self._unproven:
            self._learned.add(self._exchange.owner, route.base_url, route.model, repair)
            self._exchange.ledger.add("learnt", describe(repair)[0], f"kept for {route.model} at {route.base_url}")
        self._unproven.clear()

    def remember_ignored_schema(self) -> None:
        """Let the next answer that has to match a schema be checked before it is shown."""
        exchange, route = self._exchange, self._exchange.upstream_request.route
        if IGNORES_SCHEMA not in self._learned.repairs(exchange.owner, route.base_url, route.model):
            self._learned.add(exchange.owner, route.base_url, route.model, IGNORES_SCHEMA)

    def reset(self) -> None:
        """The request goes to another upstream, translated again."""
        self._unproven.clear()
        self.apply_learned()
