"""An upstream that fails again and again: clients that repeat their request learn so soon, and since when."""

import asyncio
import json
from typing import Any

import pytest
from mitmproxy import http

from responses_gateway.proxy.contract import Failure
from responses_gateway.settings.settings import Settings
from responses_gateway.turn.outages import FRESH, Outages
from responses_gateway.turn.served_turn import ServedTurn
from responses_gateway.turn.turn_services import TurnServices
from unit.exchanges import events
from unit.machine import delta
from unit.turn.rounds import CODEX, DONE, forgetful, frame
from unit.world import open_exchange, runtime


class Upstream:
    """Turns of one gateway, one after the other; `time` is in seconds."""

    def __init__(self) -> None:
        self.time = 100.0
        self.around = runtime(Settings(upstream="http://127.0.0.1:1/v1", store="none"))
        self.services = TurnServices(
            self.around.settings,
            self.around.router,
            forgetful(),
            self._no_models,
            sleep=self._sleep,
            jitter=lambda: 0.5,
            now=lambda: self.time,
            outages=Outages(lambda: self.time),
        )

    async def _no_models(self, *_: object) -> None:
        return None

    async def _sleep(self, seconds: float) -> None:
        self.time += seconds

    def turn(self, headers: dict[str, str] = CODEX, **fields: Any) -> ServedTurn:
        exchange = open_exchange({"model": "m", "input": "hi", "stream": True, **fields}, headers, self.around)
        return ServedTurn(exchange, headers, self.services)

    def refuse(self, status: int = 503, message: str = "busy", **fields: Any) -> tuple[int, ServedTurn]:
        """A turn whose requests are all refused, and their number."""
        turn, requests, again = self.turn(**fields), 0, True
        while again:
            requests += 1
            turn.begin(status, http.Headers())
            turn.take(json.dumps({"error": {"message": message}}).encode())
            again = asyncio.run(turn.next_round())
        return requests, turn

    def answer(self, **fields: Any) -> None:
        turn = self.turn(**fields)
        turn.begin(200, http.Headers())
        turn.feed(frame(delta("stop", content="Hi.")) + DONE)


def failure(turn: ServedTurn) -> str:
    """The message of the failed response that a Codex gets."""
    answer = turn.answer()
    assert answer.status_code == 200
    response = events(answer.content or b"")[-1]["response"]
    assert response["status"] == "failed"
    message: str = response["error"]["message"]
    return message


def test_what_fails_again_is_not_retried_and_says_since_when() -> None:
    upstream = Upstream()
    requests, turn = upstream.refuse()
    assert requests == 3
    assert failure(turn) == "openai-compatible answered HTTP 503: busy"
    upstream.time += 4
    requests, turn = upstream.refuse()
    assert requests == 1
    assert failure(turn) == "openai-compatible answered HTTP 503: busy. It has failed for 6 s."
    upstream.time += FRESH + 1
    requests, turn = upstream.refuse()
    assert requests == 3
    assert "It has failed for 23 s." in failure(turn)


def test_an_answer_ends_it() -> None:
    upstream = Upstream()
    upstream.refuse()
    upstream.answer()
    assert upstream.refuse()[0] == 3


def test_models_fail_one_by_one() -> None:
    upstream = Upstream()
    upstream.refuse()
    assert upstream.refuse(model="another")[0] == 3


def test_an_error_of_the_request_is_none_of_the_upstream() -> None:
    upstream = Upstream()
    overflow = "This model's maximum context length is 8192 tokens, you requested 9000."
    upstream.refuse(500, overflow)
    assert "It has failed" not in failure(upstream.refuse(500, overflow)[1])
    assert upstream.refuse()[0] == 3


@pytest.mark.parametrize("cause", ["refused", "broken", "connect_timeout"])
def test_a_connection_that_fails_is_told_in_the_same_way(cause: Any) -> None:
    upstream = Upstream()
    turn = upstream.turn()
    for again in (True, True, False):
        turn.fail(Failure(cause, "no", 1.0))
        assert asyncio.run(turn.next_round()) is again
    assert "http://127.0.0.1:1/v1" in failure(turn)
    again = upstream.turn()
    again.fail(Failure(cause, "no", 1.0))
    assert not asyncio.run(again.next_round())
    assert "It has failed for 2 s." in failure(again)


def test_other_clients_get_the_status() -> None:
    assert Upstream().refuse(headers={})[1].answer().status_code == 503


def test_the_oldest_are_forgotten() -> None:
    upstream = Upstream()
    outages, route = Outages(lambda: 1.0), upstream.around.router.resolve("m0")
    outages.failed(route, 0.0)
    for number in range(1, 300):
        outages.failed(upstream.around.router.resolve(f"m{number}"), 0.0)
    assert not outages.is_fresh(route)
