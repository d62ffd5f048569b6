"""The one way from the proxy layer to a turn: an exception there would leave the client waiting for ever."""

from collections.abc import Callable
from typing import Any

from mitmproxy import http

from responses_gateway.proxy import messages
from responses_gateway.proxy.contract import Failure, Limits, Turn
from responses_gateway.security.terminal import get_logger

logger = get_logger(__name__)

MESSAGE = "The gateway failed to serve the turn; its log has the details."

type ErrorResponse = Callable[[int, str], http.Response]
"""Makes a response of a status and a message."""


def _value(name: str) -> Any:
    """The attribute `name` of the turn."""

    def value(self: "GuardedTurn") -> Any:
        try:
            return getattr(self.turn, name)
        except Exception:  # noqa: BLE001 (`crash` logs it)
            return getattr(self.crash(), name)

    return property(value)


def _method(name: str) -> Any:
    """The method `name` of the turn."""

    def method(self: "GuardedTurn", *arguments: Any) -> Any:
        try:
            return getattr(self.turn, name)(*arguments)
        except Exception:  # noqa: BLE001 (`crash` logs it)
            return getattr(self.crash(), name)(*arguments)

    return method


class GuardedTurn:
    """A `Turn` that really never raises.

    The first exception of the turn behind it is logged, and the turn has `crashed`: from then on it takes nothing and
    gives nothing but its end, which the layer asks for at once.
    """

    limits = _value("limits")
    request = _value("request")
    streams = _value("streams")
    ended = _value("ended")
    is_storing = _value("is_storing")
    settled = _value("settled")
    round_over = _value("round_over")
    content = _value("content")
    keep_alives = _value("keep_alives")
    begin = _method("begin")
    finish = _method("finish")
    take = _method("take")
    fail = _method("fail")
    heartbeat = _method("heartbeat")
    told = _method("told")
    head = _method("head")
    end = _method("end")
    last_words = _method("last_words")
    answer = _method("answer")
    presentable = _method("presentable")

    def __init__(self, turn: Turn, error_response: ErrorResponse) -> None:
        self.crashed = False
        self.turn = turn
        """What is guarded; after a crash, what stands in for it."""
        self._error_response = error_response

    # These two are asked for every piece of a stream: written out, they cost next to nothing.

    def feed(self, data: bytes) -> bytes:
        try:
            return self.turn.feed(data)
        except Exception:  # noqa: BLE001 (`crash` logs it)
            return self.crash().feed(data)

    @property
    def flows(self) -> bool:
        try:
            return self.turn.flows
        except Exception:  # noqa: BLE001 (`crash` logs it)
            return self.crash().flows

    def crash(self) -> Turn:
        """The turn has raised; returns what stands in for it."""
        if not self.crashed:
            logger.exception("a turn failed")
            self.crashed = True
            self.turn = _Crashed(self.turn, self._error_response)
        return self.turn


class _Crashed:
    """Ends a turn that has raised, in the turn's own words as far as it can still speak."""

    limits = Limits(0, 1, 1, 1)
    streams = False
    is_storing = False
    settled = False
    flows = False
    round_over = False
    content = 0
    keep_alives = 0

    def __init__(self, turn: Turn, error_response: ErrorResponse) -> None:
        self.ended = False
        self.request = messages.request("POST", "http://localhost/", {})
        self._turn = turn
        self._error_response = error_response

    def begin(self, status: int, headers: http.Headers) -> bool:
        return False

    def feed(self, data: bytes) -> bytes:
        return b""

    def finish(self) -> bytes:
        return b""

    def take(self, body: bytes) -> None:
        """It is too late for it."""

    def fail(self, failure: Failure) -> None:
        """It has failed."""

    def heartbeat(self) -> bytes:
        return b""

    def told(self) -> bytes:
        return b""

    def head(self) -> http.Response:
        return self._error_response(500, MESSAGE)

    def end(self) -> bytes:
        self.ended = True
        end = b""
        try:
            self._turn.fail(Failure("crashed"))
            end = self._turn.end()
        except Exception:
            logger.exception("a turn that failed cannot end")
        # One that has made its end before, and lost it, makes no other.
        return end or self.last_words()

    def last_words(self) -> bytes:
        try:
            return self._turn.last_words()
        except Exception:
            logger.exception("a turn that failed has no last words")
            return b""

    def answer(self) -> http.Response:
        try:
            self._turn.fail(Failure("crashed"))
            return self._turn.answer()
        except Exception:
            logger.exception("a turn that failed cannot answer")
            return self._error_response(500, MESSAGE)

    def presentable(self, body: bytes) -> bytes:
        try:
            return self._turn.presentable(body)
        except Exception:
            logger.exception("the answer of a turn that failed cannot be shown")
            return b""
