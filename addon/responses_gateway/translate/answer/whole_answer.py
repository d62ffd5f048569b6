"""Whole answers, without streaming: the state machine takes the body as one chunk."""

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, loads
from responses_gateway.translate.answer.items import Event
from responses_gateway.translate.repair.upstream_errors import error_in


def completion_in(body: bytes) -> JsonObject:
    """Parse a whole `body` as a completion.

    Raises GatewayError when the body holds an error, or no completion at all.
    """
    try:
        payload = loads(body)
    except (ValueError, RecursionError):
        raise _no_completion(body) from None
    if error := error_in(payload):
        raise error
    if not isinstance(payload, dict) or not _choices(payload):
        raise _no_completion(body)
    return payload


def final_response(events: list[Event]) -> JsonObject | None:
    """Return the Response object of the terminal event, if it is among `events`."""
    last = events[-1] if events else {}
    if last.get("type") in ("response.completed", "response.incomplete", "response.failed"):
        response: JsonObject = last["response"]
        return response
    return None


def _choices(payload: JsonObject) -> bool:
    holder = payload if "choices" in payload else payload.get("data")
    return isinstance(holder, dict) and isinstance(holder.get("choices"), list)


def _no_completion(body: bytes) -> GatewayError:
    start = " ".join(body[:300].decode("utf-8", "replace").split())
    return GatewayError(
        f"The upstream's answer is no chat completion: {start or 'it is empty'}",
        status=502,
        code="server_error",
        type="server_error",
    )
