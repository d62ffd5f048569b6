"""Why an upstream round gave nothing, and what that means for a further round."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from responses_gateway.protocol.errors import EmptyAnswer, GatewayError
from responses_gateway.proxy.contract import Failure
from responses_gateway.translate.repair.upstream_errors import told_wait
from responses_gateway.turn.recovery.failure_errors import proxy_failed

_TRANSIENT_STATUS = frozenset({408, 425, 502, 503, 504, 529})
_HEALABLE_STATUS = frozenset({400, 415, 422, 500, 501})
_TRANSIENT_CAUSES = frozenset({"refused", "connect_timeout", "broken"})
_MUTE_CAUSES = frozenset({"connect_timeout", "first_byte_timeout"})
_EVIDENCE_SIZE = 65536
"""Bytes of a refusal that are searched for what to repair."""


@dataclass(frozen=True, slots=True)
class RoundFault:
    """What the recovery strategies decide by."""

    error: GatewayError
    """What the client is told if nothing helps."""

    evidence: str = ""
    """All that the upstream said, for repairs; empty when the request is not to blame."""

    transient: bool = False
    """Whether the same request may succeed later."""

    wait: float | None = None
    """Seconds that the upstream asks to wait."""

    blames_upstream: bool = False
    """Whether the upstream fails, whatever it is asked."""

    is_mute: bool = False
    """Whether the upstream said nothing until a time limit."""

    is_elsewhere: bool = False
    """Whether the upstream was not reached, and it is not to blame: a proxy on the way is."""

    @classmethod
    def of_refusal(cls, error: GatewayError, status: int, headers: Mapping[str, str], body: bytes) -> Self:
        """The upstream answered with an error status."""
        wait = told_wait(headers, error.message)
        return cls(
            error,
            body[:_EVIDENCE_SIZE].decode("utf-8", "replace") if status in _HEALABLE_STATUS else "",
            status in _TRANSIENT_STATUS or (error.code == "rate_limit_exceeded" and wait is not None),
            wait,
            # One request may be why a server breaks; what it says of many in a row is about itself.
            blames_upstream=status in _TRANSIENT_STATUS or (status >= 500 and error.status >= 500),
        )

    @classmethod
    def in_answer(cls, error: GatewayError) -> Self:
        """The error came in an answer with status 200."""
        wait = told_wait({}, error.message)
        transient = (
            error.status == 503
            or isinstance(error, EmptyAnswer)
            or (error.code == "rate_limit_exceeded" and wait is not None)
        )
        return cls(error, "" if transient else error.message, transient, wait, blames_upstream=error.status == 503)

    @classmethod
    def of_connection(cls, error: GatewayError, failure: Failure) -> Self:
        """The round ended without the end of its answer; `error` says so to the client."""
        return cls(
            error,
            transient=failure.cause in _TRANSIENT_CAUSES and error.status >= 500,
            blames_upstream=failure.cause in (*_TRANSIENT_CAUSES, *_MUTE_CAUSES) and not proxy_failed(failure),
            is_mute=failure.cause in _MUTE_CAUSES,
            is_elsewhere=proxy_failed(failure),
        )
