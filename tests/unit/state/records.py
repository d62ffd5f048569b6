"""Responses to store, and the world around a store."""

import time
from collections.abc import Callable
from typing import Any

from responses_gateway.state.packing import pack
from responses_gateway.state.store import Limits, Record, Store

PLENTY = Limits(1000, 1 << 30, 1000.0)

type OpenStore = Callable[[Limits], Store]


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def item(item_id: str, text: str = "Hi.", **more: Any) -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": "user", "content": text, **more}


def record(name: str, previous: str | None = None, owner: str = "me", status: str = "completed", **more: Any) -> Record:
    return Record(
        owner,
        {
            "id": name,
            "status": status,
            "previous_response_id": previous,
            "output": [item(f"out_{name}", role="assistant")],
        },
        pack([item(f"in_{name}")]),
        **more,
    )


def ids(items: list[dict[str, Any]] | None) -> list[str]:
    assert items is not None
    return [one["id"] for one in items]


def whole_of(*names: str) -> Callable[[], bytes]:
    """What a response was made of, when all that it continues is counted in."""
    return lambda: pack([item(name) for name in names])
