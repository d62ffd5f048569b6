"""Which running answers can be steered, and by whom: the gateway posts the turns of a WebSocket to itself."""

import secrets
from collections.abc import Mapping

from responses_gateway.translate.answer.steering import Steering

STEERING_HEADER = "x-responses-gateway-steering"
"""On the gateway's own request for such a turn; its value is a secret of this process, and good for one request."""


class Steerings:
    """Those of requests that are on their way to the process itself."""

    def __init__(self) -> None:
        self._announced: dict[str, Steering] = {}

    def announce(self, steering: Steering) -> str:
        """The value of STEERING_HEADER for the request whose answer `steering` is to steer."""
        token = secrets.token_urlsafe(32)
        self._announced[token] = steering
        return token

    def claim(self, headers: Mapping[str, str]) -> Steering | None:
        """What steers the answer to this request. `headers` have lower-case names."""
        return self._announced.pop(headers.get(STEERING_HEADER, ""), None)

    def forget(self, token: str) -> None:
        """The request is over."""
        self._announced.pop(token, None)
