"""A client for the Responses API over WebSocket."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from e2e.environment import API_KEY

TIMEOUT = 60
TERMINAL = {"response.completed", "response.incomplete", "response.failed", "response.cancelled", "error"}


class Socket:
    """One connection; events come as dicts."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, **event: Any) -> None:
        self.connection.send(json.dumps(event))

    def receive(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.connection.recv(TIMEOUT))
        return event

    def until(self, *kinds: str) -> list[dict[str, Any]]:
        """All events up to the first one of these types."""
        events = [self.receive()]
        while events[-1]["type"] not in kinds:
            events.append(self.receive())
        return events

    def turn(self, **fields: Any) -> list[dict[str, Any]]:
        """All events of one turn."""
        self.send(type="response.create", **fields)
        return self.until(*TERMINAL)


@contextmanager
def open_socket(url: str, **options: Any) -> Iterator[Socket]:
    """A socket to the gateway at `url`; `options` are those of websockets' `connect`."""
    headers = {"authorization": f"Bearer {API_KEY}", **options.pop("headers", {})}
    address = url.replace("http://", "ws://") + "/v1/responses"
    with connect(address, additional_headers=headers, proxy=None, open_timeout=TIMEOUT, **options) as connection:
        yield Socket(connection)


def said(events: list[dict[str, Any]]) -> str:
    """The text of the answer that `events` end with."""
    items = events[-1]["response"]["output"]
    return "".join(part["text"] for item in items if item["type"] == "message" for part in item["content"])
