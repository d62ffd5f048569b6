"""Searches of the history that a server has carried out: their items have no call_id, and belong together by order."""

from collections import deque
from collections.abc import Sequence

from responses_gateway.protocol import responses as wire

SEARCH_FAILED = "The limit of tool searches is reached. Answer with what you have."


def paired_searches(items: Sequence[wire.Item]) -> list[wire.Item]:
    """Give each such call, and its output, the id of the call's item, which stays the same from turn to turn."""
    waiting: deque[str] = deque()
    paired: list[wire.Item] = []
    for position, item in enumerate(items):
        match item:
            case wire.ToolSearchCall(call_id=None):
                call_id = item.id or f"tsc_{position}"
                waiting.append(call_id)
                paired.append(item.model_copy(update={"call_id": call_id}))
            case wire.ToolSearchOutput(call_id=None) if waiting:
                paired.append(item.model_copy(update={"call_id": waiting.popleft(), "execution": "server"}))
            case _:
                paired.append(item)
    return paired
