"""The end of an answer that is to be stored: the client gets it when the response is durable, or cannot be stored."""

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy import http

from responses_gateway.protocol.json import dumps
from responses_gateway.protocol.responses import ResponsesRequest, parse_request
from responses_gateway.settings.settings import Settings
from responses_gateway.state.packing import events_in, pack
from responses_gateway.state.recorder import Recorder
from responses_gateway.state.store import Record, Store
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn import opening
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.served_turn import ServedTurn
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.learned_repairs import LearnedRepairs
from unit.exchanges import DONE, events, frame
from unit.machine import Json, delta
from unit.world import runtime

ANSWER = frame(delta(content="Hello.")) + frame(delta("stop")) + DONE


class Stored:
    """A turn whose response goes to a store in memory, when it may."""

    def __init__(self, **fields: Any) -> None:
        around = runtime(Settings(upstream="http://127.0.0.1:1/v1", store="memory"))
        self.storage = around.state.storage
        assert self.storage is not None
        self.may_store = threading.Event()
        self.storage.keep(lambda store: self.may_store.wait(20))
        self.watched: list[tuple[ResponsesRequest, list[Json]]] = []
        object.__setattr__(around, "watch", lambda *seen: self.watched.append(seen))
        self.request = parse_request(dumps({"model": "m", "input": "hi", "stream": True, **fields}))
        recorder = Recorder(around.state, "me", Ledger(), self.storage, input=pack([]))
        self.exchange: Exchange = opening.open_exchange(self.request, {}, around, recorder)
        services = TurnServices(around.settings, around.router, LearnedRepairs(None, lambda: 1.0), self._no_models)
        self.turn = ServedTurn(self.exchange, {}, services)
        self.turn.begin(200, http.Headers())

    async def _no_models(self, *_: object) -> None:
        return None

    def record(self) -> Record:
        async def read() -> Record | None:
            assert self.storage is not None
            return await self.storage.read(lambda store: store.get("me", self.exchange_id))

        found = asyncio.run(read())
        assert found is not None
        return found

    def answer(self) -> bytes:
        """What the client gets of a whole answer while it is not stored."""
        return self.turn.feed(ANSWER) + self.turn.finish()

    @property
    def exchange_id(self) -> str:
        response_id: str = next(e["response"]["id"] for _, seen in self.watched for e in seen if "response" in e)
        return response_id


@pytest.fixture
def stored() -> Iterator[Stored]:
    made = Stored()
    yield made
    made.may_store.set()


def test_the_end_waits_for_the_store(stored: Stored) -> None:
    turn = stored.turn
    shown = stored.answer()
    assert b"Hello." in shown
    assert b"response.completed" not in shown
    assert b"[DONE]" not in shown
    assert stored.exchange.ended
    assert (turn.is_storing, turn.ended, turn.flows) == (True, False, False)
    assert turn.told() == b""
    stored.may_store.set()
    assert not asyncio.run(turn.next_round())
    end = turn.told()
    assert (turn.is_storing, turn.ended) == (False, True)
    assert turn.told() == b""
    received = events(shown + end)
    assert received[-1]["type"] == "response.completed"
    record = stored.record()
    assert record.response == received[-1]["response"]
    assert events_in(record.events) == received


def test_nobody_waits_longer_than_the_layer_does(stored: Stored) -> None:
    shown = stored.answer()
    end = stored.turn.end()
    assert events(shown + end)[-1]["type"] == "response.completed"
    assert (stored.turn.is_storing, stored.turn.ended) == (False, True)
    assert stored.turn.end() == b""


def test_a_failure_behind_the_end_changes_nothing(stored: Stored) -> None:
    shown = stored.answer()
    assert stored.turn.heartbeat() == b""
    assert stored.turn.feed(frame(delta(content="late"))) == b""
    assert events(shown + stored.turn.end())[-1]["type"] == "response.completed"


def test_who_watches_sees_all_events_with_their_request(stored: Stored) -> None:
    shown = stored.answer() + stored.turn.end()
    assert [event for _, seen in stored.watched for event in seen] == events(shown)
    assert all(request.input for request, _ in stored.watched)


def test_a_whole_answer_is_stored_before_it_is_told() -> None:
    one = Stored(stream=False)
    completion = {"choices": [{"index": 0, "message": {"content": "Hello."}, "finish_reason": "stop"}]}
    one.turn.take(json.dumps(completion).encode())
    assert (one.turn.is_storing, one.turn.ended, one.turn.told()) == (False, False, b"")
    one.may_store.set()
    assert not asyncio.run(one.turn.next_round())
    assert one.turn.answer().status_code == 200
    record = one.record()
    assert record.response["output"][0]["content"][0]["text"] == "Hello."
    assert [event["type"] for event in events_in(record.events)][-1] == "response.completed"


def test_what_no_store_takes_is_told_all_the_same(stored: Stored) -> None:
    def refuse(store: Store) -> None:
        def put(*_: object) -> None:
            raise RuntimeError("a fault")

        store.put = put  # type: ignore[method-assign]

    assert stored.storage is not None
    stored.storage.keep(refuse)
    shown = stored.answer()
    stored.may_store.set()
    assert not asyncio.run(stored.turn.next_round())
    assert events(shown + stored.turn.told())[-1]["type"] == "response.completed"
    assert [entry.field for entry in stored.exchange.ledger.entries if entry.action == "dropped"] == ["store"]
