"""Keeps exceptions of a turn from the layers, where they would leave the client waiting for ever."""

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
    """A property that reads the attribute `name` of the turn."""

    def value(self: "GuardedTurn") -> Any:
        try:
            return getattr(self.turn, name)
        except Exception:  # noqa: BLE001 (`crash` logs it)
            return getattr(self.crash(), name)

    return property(value)


def _method(name: str) -> Any:
    """A method that calls the method `name` of the turn."""

    def method(self: "GuardedTurn", *arguments: Any) -> Any:
        try:
            return getattr(self.turn, name)(*arguments)
        except Exception:  # noqa: BLE001 (`crash` logs it)
            return getattr(self.crash(), name)(*arguments)

    return method


class GuardedTurn:
    """A `Turn` that never raises: it calls the real one, and every call from the layers goes through it.

    The first exception of the real turn is logged, and `crashed` is set. From then on this turn takes nothing and gives
    nothing but the end of its answer, for which the stream asks at once.
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
        """The real turn; after a crash, its replacement."""
        self._error_response = error_response

    def succeeded_by(self, successor: Turn | None) -> "GuardedTurn":
        """This turn, of which `successor` is the real one from now on, if there is one."""
        if successor is not None and not self.crashed:
            self.turn = successor
        return self

    # These two are called for every piece of a stream; written out like this, they cost next to nothing.

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
        """The turn has raised. Returns its replacement."""
        if not self.crashed:
            logger.exception("a turn failed")
            self.crashed = True
            self.turn = _Crashed(self.turn, self._error_response)
        return self.turn


class _Crashed:
    """Replaces a turn that has raised, and ends its answer: with what that turn makes, as long as it does not raise."""

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
        """Nothing is done with it any more."""

    def fail(self, failure: Failure) -> None:
        """The turn has failed already."""

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
        # A turn that has made its end before the crash, so that it was lost, makes no second one.
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
