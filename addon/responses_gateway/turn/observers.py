"""What turns tell whoever watches them: protocols that inspection implements, and `Unobserved` for nobody."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.ledger import Ledger
from responses_gateway.upstream.routing import Route


class TurnObserver(Protocol):
    """Watches a translated turn. Headers come by lower-case name."""

    def translated(
        self, model: str | None, route: Route, owner: str, session: str | None, body: JsonObject, ledger: Ledger
    ) -> None:
        """The request for `model` became the chat request `body`. `session` is the id of the owner's session; `ledger`
        goes on being filled."""

    def round_began(
        self, url: str, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], hidden: Sequence[str]
    ) -> None:
        """A request is on its way to the upstream. `secrets` must not be shown, nor the headers named in `hidden`."""

    def round_answered(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of the upstream's answer has come."""

    def received(self, data: bytes) -> None:
        """Bytes of the upstream's answer have come."""

    def round_ended(self, error: str = "", failure: Sequence[str | float] = ()) -> None:
        """The upstream's answer has ended. `error` says why if it broke off, and `failure` has the values of the
        proxy layer's `Failure`."""

    def sent(self, data: bytes, events: Sequence[JsonObject]) -> None:
        """`events` go to the client, encoded as `data`."""

    def clean(self, body: bytes) -> bytes:
        """`body` as it may be shown: without the secrets of this turn."""


class RelayObserver(Protocol):
    """Watches an answer that is passed on as it is."""

    def relayed(self, data: bytes) -> None:
        """Bytes of a streamed answer go to the client."""

    def ended(self) -> None:
        """The streamed answer is over."""

    def clean(self, body: bytes) -> bytes:
        """`body` as it may be shown: without the secrets of this turn."""


class Unobserved:
    """A `TurnObserver` and `RelayObserver` that does nothing."""

    def translated(
        self, model: str | None, route: Route, owner: str, session: str | None, body: JsonObject, ledger: Ledger
    ) -> None:
        pass

    def round_began(
        self, url: str, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], hidden: Sequence[str]
    ) -> None:
        pass

    def round_answered(self, status: int, headers: Mapping[str, str]) -> None:
        pass

    def received(self, data: bytes) -> None:
        pass

    def round_ended(self, error: str = "", failure: Sequence[str | float] = ()) -> None:
        pass

    def sent(self, data: bytes, events: Sequence[JsonObject]) -> None:
        pass

    def relayed(self, data: bytes) -> None:
        pass

    def ended(self) -> None:
        pass

    def clean(self, body: bytes) -> bytes:
        """Nothing: nobody looks at it, and nobody knows its secrets."""
        return b""
