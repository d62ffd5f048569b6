"""Lists in OpenAI's cursor style."""

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Call
from responses_gateway.protocol.json import JsonObject

_ENCRYPTED = "reasoning.encrypted_content"


def page(items: list[JsonObject], call: Call) -> JsonObject:
    """The page of `items` (oldest first) that the query asks for: `order`, `after`, `limit`, `include`."""
    order = call.value("order") or "desc"
    if order not in ("asc", "desc"):
        raise GatewayError(
            f"Invalid value for 'order': '{order}'. Supported values: 'asc', 'desc'.",
            code="invalid_value",
            param="order",
        )
    limit = call.number("limit", default=20, low=1, high=100)
    ordered = items if order == "asc" else items[::-1]
    after = call.value("after")
    start = 0
    if after is not None:
        positions = [position for position, item in enumerate(ordered) if item["id"] == after]
        if not positions:
            raise GatewayError(f"Item with id '{after}' not found.", 400, "invalid_value", param="after")
        start = positions[0] + 1
    chosen = ordered[start : start + limit]
    if _ENCRYPTED not in call.query.get("include", ()):
        chosen = [_without_envelope(item) for item in chosen]
    return {
        "object": "list",
        "data": chosen,
        "first_id": chosen[0]["id"] if chosen else "",
        "last_id": chosen[-1]["id"] if chosen else "",
        "has_more": start + limit < len(ordered),
    }


def _without_envelope(item: JsonObject) -> JsonObject:
    if item["type"] != "reasoning":
        return item
    return {name: value for name, value in item.items() if name != "encrypted_content"}
