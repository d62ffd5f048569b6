"""Background responses that another process follows and stops, without a proxy."""

import asyncio
import itertools
import json
import threading

import pytest

from responses_gateway.protocol.http import Call
from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import parse_request
from responses_gateway.settings.settings import Settings
from responses_gateway.state.packing import pack
from responses_gateway.state.recorder import Recorder
from responses_gateway.state.state import State
from responses_gateway.state.store import Record, Store, StoreError
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn.background import Job, Jobs
from responses_gateway.upstream.http_client import HttpClient

CALL = Call.parse("POST", "/v1/responses", {}, b"", "http://127.0.0.1:1")


class World:
    """A runner and a follower on one store, and the turn between them."""

    def __init__(self) -> None:
        self.state = State(Settings(store="memory"))
        assert self.state.storage is not None
        self.storage = self.state.storage
        numbers = itertools.count()
        self.runner = Jobs(lambda prefix: f"{prefix}_{next(numbers)}", lambda: 2e9)
        self.follower = Jobs(lambda prefix: f"{prefix}_{next(numbers)}", lambda: 2e9)
        self.stopped = asyncio.Event()

    async def start(self, monkeypatch: pytest.MonkeyPatch) -> Job:
        async def post(jobs: Jobs, call: Call, token: str) -> str:
            try:
                await asyncio.Event().wait()
            finally:
                self.stopped.set()
            return ""

        monkeypatch.setattr(Jobs, "_post", post)
        recorder = Recorder(self.state, "me", Ledger(), self.storage, input=pack([]))
        return await self.runner.start(CALL, parse_request(b'{"model": "m", "input": "x"}'), recorder)

    async def end(self, job: Job) -> None:
        events = [event(3, "response.completed", response={**job.response, "status": "completed"})]
        job.take(events)
        record = Record("me", job.response, job.input)
        await self.storage.write(lambda store: store.put(record))

    async def close(self) -> None:
        await self.runner.close()
        await self.follower.close()
        await self.state.close()


def event(number: int, kind: str = "response.output_text.delta", **more: object) -> JsonObject:
    return {"type": kind, "sequence_number": number, **more}


def test_what_the_store_did_not_take_is_reported_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(_fail_once(monkeypatch))


async def _fail_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    failed = threading.Event()
    job = await world.start(monkeypatch)

    def fail_once(store: Store) -> None:
        add = store.add_events

        def adding(owner: str, response_id: str, events: bytes) -> bool:
            if failed.is_set():
                return add(owner, response_id, events)
            failed.set()
            raise StoreError("not now")

        monkeypatch.setattr(store, "add_events", adding)

    await world.storage.write(fail_once)
    job.take([event(0), event(1)])
    assert await asyncio.to_thread(failed.wait, 20)
    job.take([event(2)])
    forward = await world.follower.follow(world.storage, "me", job.id, -1)
    numbers = []
    async with HttpClient() as http, http.request("GET", forward.url) as response:
        async for piece in response.body:
            lines = [line for line in piece.split(b"\n") if line.startswith(b"data: {")]
            numbers += [json.loads(line.removeprefix(b"data: "))["sequence_number"] for line in lines]
            if numbers[-1:] == [2]:
                await world.end(job)
    assert numbers == [0, 1, 2, 3]
    await world.close()


def test_a_runner_stops_when_its_response_is_cancelled_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(_cancel(monkeypatch))


async def _cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    job = await world.start(monkeypatch)
    job.take([event(0, "response.output_item.done", item={"id": "msg"})])
    events: list[JsonObject] = []
    while not events:
        events = await world.follower.stop(world.storage, "me", job.id)
    assert [one["item"]["id"] for one in events] == ["msg"]
    cancelled = Record("me", {**job.response, "status": "cancelled"}, job.input)
    await world.storage.write(lambda store: store.put(cancelled))
    async with asyncio.timeout(20):
        await world.stopped.wait()
    await world.close()


def test_a_turn_whose_response_is_stored_already_comes_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(_end_late(monkeypatch))


async def _end_late(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    job = await world.start(monkeypatch)
    looks = threading.Semaphore(0)

    def count(store: Store) -> None:
        get = store.get

        def getting(owner: str, response_id: str) -> Record | None:
            looks.release()
            return get(owner, response_id)

        monkeypatch.setattr(store, "get", getting)

    await world.storage.write(count)
    completed = Record("me", {**job.response, "status": "completed"}, job.input)
    await world.storage.write(lambda store: store.put(completed))
    for _ in range(2):
        assert await asyncio.to_thread(looks.acquire, timeout=60)
    assert not world.stopped.is_set()
    await world.close()
