"""Recorded turns for the tests of what reads them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.session_memory import SessionMemory
from responses_gateway.inspection.recording.turn_recorder import TurnRecorder
from responses_gateway.protocol.json import dumps, loads
from responses_gateway.settings.loading import load_settings
from unit.world import open_exchange, runtime

URL = "https://llm.example/v1"
SECRET = "sk-very-secret"


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Gateway:
    """Exchanges without mitmproxy: what the addon does with them, step by step."""

    def __init__(self, **options: str) -> None:
        options = {"gateway_upstream": URL, "gateway_store": "none", **options}
        settings = load_settings(options, {"HOME": "/nonexistent"})
        self.clock = Clock()
        self._sessions = SessionMemory()
        self.runtime = replace(runtime(settings, URL), new_id=self._new_id, clock=self.clock)
        self._ids = 0

    def _new_id(self, prefix: str) -> str:
        self._ids += 1
        return f"{prefix}_{self._ids:032x}"

    def turn(
        self,
        body: dict[str, Any],
        chunks: Sequence[bytes] = (),
        *,
        close: bool = True,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """The metadata of a flow after a turn; 100 ms pass before each chunk."""
        metadata: dict[str, Any] = {}
        made = TurnRecorder(metadata, clock=self.clock, keep=True, sessions=self._sessions, **options)
        raw = dumps({"model": "m", "stream": True, **body})
        made.requested("POST", "/v1/responses", headers or {"authorization": f"Bearer {SECRET}"}, raw)
        exchange = open_exchange(loads(raw), headers or {}, self.runtime)
        exchange.observe(made)
        chat = exchange.upstream_request
        made.round_began(chat.url, {"authorization": f"Bearer {SECRET}"}, dumps(chat.body))
        exchange.begin({"content-type": "text/event-stream"})
        for chunk in chunks:
            self.clock.now += 0.1
            exchange.feed(chunk)
        if close:
            exchange.close()
            made.ended()
        else:
            made.note()
        return metadata

    def record(self, *arguments: Any, **options: Any) -> RecordedTurn:
        record = RecordedTurn.of(self.turn(*arguments, **options))
        assert record is not None
        return record


def chunk(finish: str | None = None, usage: dict[str, Any] | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    whole: dict[str, Any] = {"choices": [choice]}
    if usage:
        whole["usage"] = usage
    return b"data: " + dumps(whole) + b"\n\n"


def call(name: str, *arguments: str, id: str = "call_1") -> list[bytes]:
    first = {"index": 0, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
    rest = [{"index": 0, "function": {"arguments": piece}} for piece in arguments]
    return [chunk(tool_calls=[one]) for one in (first, *rest)]


DONE = b"data: [DONE]\n\n"
USAGE = {
    "prompt_tokens": 41_000,
    "completion_tokens": 512,
    "prompt_tokens_details": {"cached_tokens": 40_000},
}
ANSWER = [
    *(chunk(reasoning_content=word) for word in ("Let ", "me ", "see.")),
    *(chunk(content=word) for word in ("Hello", " there", "!")),
    chunk(finish="stop", usage=USAGE),
    DONE,
]
