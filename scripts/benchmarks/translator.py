"""The translation alone, in this process: milliseconds per request, microseconds per streamed delta."""

import itertools
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from benchmarks.workload import codex_request, stream_model
from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import Profile
from responses_gateway.protocol import sse
from responses_gateway.protocol.json import JsonObject, dumps, loads
from responses_gateway.protocol.responses import ResponsesRequest, parse_request
from responses_gateway.translate.answer.options import StreamOptions
from responses_gateway.translate.answer.snapshot import Snapshot
from responses_gateway.translate.answer.state_machine import AnswerStateMachine
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.chat_request import Translation, translate_request

_DELTAS = 20_000
_DELTA_KINDS: dict[str, JsonObject] = {
    "text": {"content": " word"},
    "reasoning": {"content": None, "reasoning_content": " word"},
    "arguments": {"tool_calls": [{"index": 0, "function": {"arguments": " word"}}]},
}
_FIRST: dict[str, JsonObject] = {
    "arguments": {
        "tool_calls": [
            {"index": 0, "id": "call_1", "function": {"name": "exec_command", "arguments": '{"cmd":"'}},
        ]
    }
}


def measure(sizes: list[int], repeat: int) -> dict[str, Any]:
    """CPU time, in seconds: the median of `repeat` runs for requests of each size, the least for a delta."""
    requests = {}
    for size in sizes:
        body = dumps(codex_request(size, stream_model(50, 1)))
        request = parse_request(body)
        translation = _translate(request)
        requests[str(size)] = {
            "bytes": len(body),
            "parse": _time(partial(parse_request, body), repeat),
            "translate": _time(partial(_translate, request), repeat),
            "serialise": _time(partial(dumps, translation.body), repeat),
        }
    deltas = {kind: min(_delta(kind) for _ in range(3)) for kind in _DELTA_KINDS}
    return {"requests": requests, "deltas": deltas}


def _translate(request: ResponsesRequest) -> Translation:
    return translate_request(
        request, model="bench", profile=Profile(name="bench"), card=ModelCard(id="bench"), ledger=Ledger()
    )


def _time(act: Callable[[], object], repeat: int) -> float:
    act()
    return median(_once(act) for _ in range(repeat))


def _once(act: Callable[[], object]) -> float:
    start = time.process_time()
    act()
    return time.process_time() - start


def _delta(kind: str) -> float:
    """Seconds for one delta: bytes of a chunk in, bytes of its events out."""
    request = parse_request(dumps(codex_request(20_000, "bench")))
    ids = itertools.count()
    machine = AnswerStateMachine(
        Snapshot(request, "resp_bench", 0),
        _translate(request).tools,
        Ledger(),
        StreamOptions(),
        new_id=lambda prefix: f"{prefix}_{next(ids):032x}",
        clock=time.time,
    )
    machine.start()
    machine.chunk(_chunk(_FIRST.get(kind, _DELTA_KINDS[kind])))
    decoder = sse.SseDecoder()
    frame = b"data: " + dumps(_chunk(_DELTA_KINDS[kind])) + b"\n\n"

    def translate() -> None:
        for _ in itertools.repeat(None, _DELTAS):
            for payload in decoder.feed(frame):
                b"".join([sse.encode(event) for event in machine.chunk(loads(payload))])

    return _once(translate) / _DELTAS


def _chunk(delta: JsonObject) -> JsonObject:
    return {
        "id": "chatcmpl-9f3c1d5e7a",
        "object": "chat.completion.chunk",
        "created": 1763000000,
        "model": "bench",
        "system_fingerprint": "fp_8802369eaa",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}],
    }
