"""Searches of the history that a server has carried out: their items have no call_id, and belong together by order."""

from collections import deque
from collections.abc import Sequence

from responses_gateway.protocol import responses as wire

SEARCH_FAILED = "The limit of tool searches is reached. Answer with what you have."


def paired_searches(items: Sequence[wire.Item]) -> list[wire.Item]:
    """Give each such call, and its output, an id.

    It is the call's number, and so the same from turn to turn, whether the client sends the ids of items back or not.
    """
    waiting: deque[str] = deque()
    calls = 0
    paired: list[wire.Item] = []
    for item in items:
        match item:
            case wire.ToolSearchCall(call_id=None):
                calls += 1
                waiting.append(f"tool_search_{calls}")
                paired.append(item.model_copy(update={"call_id": waiting[-1]}))
            case wire.ToolSearchOutput(call_id=None) if waiting:
                paired.append(item.model_copy(update={"call_id": waiting.popleft(), "execution": "server"}))
            case _:
                paired.append(item)
    return paired
