"""Turns served without a proxy: what the upstream answers, round after round, and what came of it."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mitmproxy import http

from responses_gateway.protocol.json import loads
from responses_gateway.settings.settings import Settings
from responses_gateway.turn.served_turn import ServedTurn
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.learned_repairs import LearnedRepairs
from unit.exchanges import DONE, events, frame
from unit.machine import check, delta
from unit.world import open_exchange, runtime

Json = dict[str, Any]

CODEX = {"originator": "codex_exec"}
NOTHING = [delta("stop")]


def forgetful() -> LearnedRepairs:
    """What upstreams taught, of one test only."""
    return LearnedRepairs(None, lambda: 2.0)


@dataclass
class Served:
    """What came of a turn: the bodies that the upstream got, the events of the client, its response, the ledger."""

    requests: list[Json]
    events: list[Json]
    response: Json
    ledger: list[str] = field(default_factory=list)

    @property
    def output(self) -> list[Json]:
        items: list[Json] = self.response["output"]
        return items

    def noted(self, words: str) -> bool:
        """Whether an entry of the ledger holds these words."""
        return any(words in entry for entry in self.ledger)


def whole(*chunks: Json) -> Json:
    """The completion that chunks of one choice stand for, each field as the last chunk has it."""
    message: Json = {"role": "assistant", "content": None}
    reason = None
    for chunk in chunks:
        choice = chunk["choices"][0]
        message |= choice["delta"]
        reason = choice["finish_reason"] or reason
    return {"choices": [{"index": 0, "message": message, "finish_reason": reason}]}


def serve(
    *answers: list[Json] | bytes | int,
    headers: Mapping[str, str] | None = None,
    learned: LearnedRepairs | None = None,
    settings: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Served:
    """Serve one turn. An answer is a list of chunks, a body (bytes) with status 200, or an HTTP status."""
    return asyncio.run(_serve(list(answers), headers or {}, learned or forgetful(), settings or {}, fields))


async def _serve(
    answers: list[list[Json] | bytes | int],
    headers: Mapping[str, str],
    learned: LearnedRepairs,
    settings: Mapping[str, Any],
    fields: Json,
) -> Served:
    around = runtime(Settings.model_validate({"upstream": "http://127.0.0.1:1/v1", "store": "none", **settings}))

    async def no_models(*_: object) -> None:
        return None

    async def no_wait(_: float) -> None:
        return None

    request = {"model": "m", "input": "hi", "stream": True, **fields}
    exchange = open_exchange(request, headers, around)
    services = TurnServices(around.settings, around.router, learned, no_models, sleep=no_wait)
    turn = ServedTurn(exchange, headers, services)
    requests, sent, again = [], b"", True
    while again:
        requests.append(loads(json.dumps(exchange.upstream_request.body)))
        answer = answers.pop(0)
        if isinstance(answer, list):
            streamed = exchange.upstream_request.body.get("stream")
            body = b"".join(map(frame, answer)) + DONE if streamed else json.dumps(whole(*answer)).encode()
        else:
            body = answer if isinstance(answer, bytes) else b""
        if turn.begin(answer if isinstance(answer, int) else 200, http.Headers()):
            sent += turn.feed(body) + turn.finish()
        else:
            turn.take(body)
        again = await turn.next_round()
    assert not answers, "the upstream was not asked again"
    sent += turn.told()
    ledger = [str(entry) for entry in exchange.ledger.entries]
    if not turn.streams:
        return Served(requests, [], loads(turn.answer().content or b""), ledger)
    if not exchange.ended:
        sent += turn.end()
    received = events(sent)
    check(received)
    return Served(requests, received, received[-1]["response"], ledger)
