"""Errors in OpenAI's shape."""

from dataclasses import dataclass

from responses_gateway.protocol.json import JsonObject


@dataclass
class GatewayError(Exception):
    """An error for the client: what was wrong, where (`param`), and what to do.

    `status` is the HTTP status when no byte of the answer was sent yet; `code` is what clients act on, also inside a
    stream (`response.failed`). `retry_after` is in seconds.
    """

    message: str
    status: int = 400
    code: str | None = None
    param: str | None = None
    type: str = "invalid_request_error"
    retry_after: float | None = None

    def __str__(self) -> str:
        return self.message

    def body(self) -> JsonObject:
        """The HTTP body, as OpenAI's API renders errors."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class EmptyAnswer(GatewayError):
    """The upstream ended its turn without saying anything; asking once more may help."""

    def __init__(self) -> None:
        super().__init__(
            "The upstream ended its turn without any text or tool call.", 502, "server_error", type="server_error"
        )
