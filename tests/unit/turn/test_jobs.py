"""Background responses: their lease, who may stop and follow them, and what is shown of those that died."""

import asyncio
import itertools
import json
import ssl
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from mitmproxy.certs import create_ca

from responses_gateway.protocol.client_headers import IDENTITY_HEADERS
from responses_gateway.protocol.http import Call
from responses_gateway.protocol.responses import parse_request
from responses_gateway.settings.settings import Settings
from responses_gateway.state.packing import EventLog, events_in, pack
from responses_gateway.state.recorder import Recorder
from responses_gateway.state.state import State
from responses_gateway.state.store import Record, Store, StoreError
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn import background
from responses_gateway.turn.background import FLOW_HEADER, JOB_HEADER, LEASE, Job, Jobs, current
from responses_gateway.upstream.http_client import HttpClient

Json = dict[str, Any]


def event(number: int, kind: str = "response.output_text.delta", **more: object) -> Json:
    return {"type": kind, "sequence_number": number, **more}


class Upstream:
    """Takes the place of the gateway's own port: answers each request with the same, and keeps what it was asked."""

    def __init__(self, status: int, body: bytes, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._answer = b"HTTP/1.1 %d X\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)
        self.asked = b""
        self.was_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        port: int = self._server.sockets[0].getsockname()[1]
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked += head + await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
        self.was_asked.set()
        await self.may_answer.wait()
        writer.write(self._answer)
        await writer.drain()
        writer.close()

    def headers(self) -> dict[str, str]:
        """Those of the request, by lower-case name."""
        lines = self.asked.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


class World:
    """Jobs on a store in memory; `now` is the time of the gateway."""

    def __init__(self, state: State) -> None:
        assert state.storage is not None
        self.state = state
        self.storage = state.storage
        self.now = 2e9
        numbers = itertools.count()
        self.jobs = Jobs(lambda prefix: f"{prefix}_{next(numbers)}", lambda: self.now)
        self.others = Jobs(lambda prefix: f"{prefix}_{next(numbers)}", lambda: self.now)

    async def start(self, base_url: str, headers: Json | None = None) -> Job:
        call = Call.parse("POST", "/v1/responses", headers or {}, b'{"the": "body"}', base_url, "flow-7")
        recorder = Recorder(self.state, "me", Ledger(), self.storage, input=pack([]))
        return await self.jobs.start(call, parse_request(b'{"model": "m", "input": "x"}'), recorder)

    async def stored(self, response_id: str) -> Record:
        record = await self.storage.read(lambda store: store.get("me", response_id))
        assert record is not None
        return record

    async def put(self, record: Record) -> None:
        await self.storage.write(lambda store: store.put(record))

    async def followed(self, jobs: Jobs, response_id: str, after: int = -1) -> list[Json]:
        """All events of a response that `jobs` tells, to the end."""
        forward = await jobs.follow(self.storage, "me", response_id, after)
        body = b""
        async with HttpClient() as http, http.request("GET", forward.url) as response:
            assert response.status == 200
            async for piece in response.body:
                body += piece
        assert body.endswith(b"data: [DONE]\n\n")
        assert b"keep-alive" not in body
        lines = [line for line in body.split(b"\n") if line.startswith(b"data: {")]
        return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def in_world(test: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        world = World(State(Settings(store="memory")))
        try:
            async with asyncio.timeout(60):
                await test(world)
        finally:
            await world.jobs.close()
            await world.others.close()
            await world.state.close()

    asyncio.run(run())


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Turns of jobs go on until this is set; then they have nothing to say."""
    ends = asyncio.Event()

    async def post(*_: object) -> str:
        await ends.wait()
        return "it ended"

    monkeypatch.setattr(Jobs, "_post", post)
    return ends


def test_a_response_begins_as_one_that_waits(endless: asyncio.Event) -> None:
    async def test(world: World) -> None:
        job = await world.start("http://127.0.0.1:1")
        record = await world.stored(job.id)
        assert record.response["status"] == "queued"
        assert record.lease == 2e9 + LEASE
        assert not job.ended

    in_world(test)


def test_a_runner_renews_its_lease_in_time(endless: asyncio.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, renewals = threading.Semaphore(0), threading.Semaphore(0)
    leases: list[float] = []

    def watch(store: Store) -> None:
        live_events, renew = store.live_events, store.renew

        def looking(owner: str, response_id: str, skip: int) -> list[bytes] | None:
            looks.release()
            return live_events(owner, response_id, skip)

        def renewing(owner: str, response_id: str, lease: float) -> bool:
            leases.append(lease)
            renewals.release()
            return renew(owner, response_id, lease)

        monkeypatch.setattr(store, "live_events", looking)
        monkeypatch.setattr(store, "renew", renewing)

    async def test(world: World) -> None:
        await world.storage.write(watch)
        job = await world.start("http://127.0.0.1:1")
        assert await asyncio.to_thread(looks.acquire, timeout=20)
        world.now += LEASE / 3 - 1
        for _ in range(2):
            assert await asyncio.to_thread(looks.acquire, timeout=20)
        assert leases == []
        world.now += 2
        assert await asyncio.to_thread(renewals.acquire, timeout=20)
        for _ in range(2):
            assert await asyncio.to_thread(looks.acquire, timeout=20)
        assert leases == [world.now + LEASE]
        assert (await world.stored(job.id)).lease == world.now + LEASE

    in_world(test)


def test_a_turn_that_made_no_response_has_failed(endless: asyncio.Event) -> None:
    async def test(world: World) -> None:
        job = await world.start("http://127.0.0.1:1")
        job.take([event(0, "response.created", response=job.response)])
        endless.set()
        assert job.task is not None
        await job.task
        record = await world.stored(job.id)
        assert record.response["status"] == "failed"
        assert record.response["error"] == {"code": "server_error", "message": "it ended"}
        assert [one["type"] for one in events_in(record.events)] == ["response.created", "response.failed"]
        assert [one["sequence_number"] for one in events_in(record.events)] == [0, 1]
        assert events_in(record.events)[-1]["response"] == record.response == job.response
        assert record.input == job.input
        assert job.ended
        assert world.jobs.cancel("me", job.id) is None

    in_world(test)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, b'{"error": {"message": "no such model"}}', "no such model"),
        (502, b"<html>", "The turn ended with status 502 and no response."),
        (200, b"[]", "The turn ended with status 200 and no response."),
        (500, b'{"error": "x"}', "The turn ended with status 500 and no response."),
    ],
)
def test_what_the_turn_was_told_is_told(status: int, body: bytes, message: str) -> None:
    async def test(world: World) -> None:
        upstream = Upstream(status, body)
        async with upstream as url:
            job = await world.start(url, {"authorization": "Bearer k", "x-api-key": "k2", "cookie": "c=d"})
            assert job.task is not None
            await job.task
        assert (await world.stored(job.id)).response["error"]["message"] == message
        head = upstream.asked.lower()
        assert head.startswith(b"post /v1/responses http/1.1")
        assert b"authorization: bearer k\r\n" in head
        assert b"x-api-key: k2\r\n" in head
        assert b"content-type: application/json\r\n" in head
        assert JOB_HEADER.encode() in head
        assert b"c=d" not in head

    in_world(test)


@pytest.mark.parametrize(("length", "read"), [(60, True), (61, False)])
def test_so_much_of_what_the_turn_was_told_is_read(monkeypatch: pytest.MonkeyPatch, length: int, read: bool) -> None:
    body = b'{"error": {"message": "%b"}}' % (b"x" * (length - 26))
    assert len(body) == length
    monkeypatch.setattr(background, "_KEPT", 60)

    async def test(world: World) -> None:
        async with Upstream(400, body) as url:
            job = await world.start(url)
            assert job.task is not None
            await job.task
        error = (await world.stored(job.id)).response["error"]
        told = "x" * (length - 26) if read else "The turn ended with status 400 and no response."
        assert error == {"code": "server_error", "message": told}

    in_world(test)


SENT_ON = ("authorization", "x-api-key", "api-key", "originator", "user-agent", *IDENTITY_HEADERS)


def test_the_turn_is_asked_for_as_the_client_asked() -> None:
    async def test(world: World) -> None:
        upstream = Upstream(200, b"{}")
        async with upstream as url:
            job = await world.start(url, {name: f"value of {name}" for name in (*SENT_ON, "accept", "cookie")})
            assert job.task is not None
            await job.task
        sent = upstream.headers()
        assert {name: value for name, value in sent.items() if value.startswith("value of")} == {
            name: f"value of {name}" for name in SENT_ON
        }
        assert sent[FLOW_HEADER] == "flow-7"
        assert upstream.asked.endswith(b'\r\n\r\n{"the": "body"}')

    in_world(test)


def test_the_gateway_trusts_its_own_certificate_whatever_its_name(tmp_path: Path) -> None:
    key, certificate = create_ca("somebody", "else.example", 2048)
    pem = tmp_path / "own.pem"
    plain = serialization.NoEncryption()
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pem)

    async def test(world: World) -> None:
        async with Upstream(400, b'{"error": {"message": "no such model"}}', tls) as url:
            job = await world.start(url)
            assert job.task is not None
            await job.task
        assert (await world.stored(job.id)).response["error"]["message"] == "no such model"

    in_world(test)


def test_a_gateway_that_cannot_reach_itself_says_so() -> None:
    async def test(world: World) -> None:
        job = await world.start("http://127.0.0.1:1")
        assert job.task is not None
        await job.task
        assert "could not reach itself" in (await world.stored(job.id)).response["error"]["message"]

    in_world(test)


def test_only_the_owner_stops_a_response(endless: asyncio.Event) -> None:
    async def test(world: World) -> None:
        job = await world.start("http://127.0.0.1:1")
        job.take([event(0)])
        assert world.jobs.cancel("you", job.id) is None
        assert world.jobs.cancel("me", "nothing") is None
        assert await world.jobs.stop(world.storage, "you", job.id) == []
        assert job.task is not None
        assert not job.task.cancelling()
        assert await world.jobs.stop(world.storage, "me", job.id) == [event(0)]
        await asyncio.wait({job.task})
        assert job.task.cancelled()
        assert job.ended

    in_world(test)


def test_only_the_gateways_own_request_is_a_job(endless: asyncio.Event) -> None:
    async def test(world: World) -> None:
        await world.start("http://127.0.0.1:1")
        assert world.jobs.claim({}) is None
        assert world.jobs.claim({JOB_HEADER: "guess"}) is None

    in_world(test)


def test_a_store_that_fails_at_the_end_leaves_no_job(endless: asyncio.Event, caplog: pytest.LogCaptureFixture) -> None:
    async def test(world: World) -> None:
        job = await world.start("http://127.0.0.1:1")
        await world.storage.write(lambda store: fail(store, "put"))
        endless.set()
        assert job.task is not None
        await job.task
        assert job.ended
        assert world.jobs.cancel("me", job.id) is None
        assert f"The background response {job.id}: put: not now" in caplog.messages

    in_world(test)


def fail(store: Store, *names: str) -> None:
    """Let these methods of a store fail from now on."""
    for name in names:

        def failing(*_: object, name: str = name) -> None:
            raise StoreError(f"{name}: not now")

        setattr(store, name, failing)


def test_a_store_that_fails_meanwhile_stops_nothing(
    endless: asyncio.Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(world: World) -> None:
        first = await world.start("http://127.0.0.1:1")
        await world.put(Record("me", {**first.response, "status": "completed"}, first.input))
        second = await world.start("http://127.0.0.1:1")
        await world.storage.write(lambda store: fail(store, "get", "add_events"))
        second.take([event(0)])
        while not any("cannot be followed elsewhere now: add_events: not now" in one for one in caplog.messages):
            assert await reported(world, second.id, 0)
        for job in (first, second):
            assert job.task is not None
            assert not job.task.done()
            assert not job.ended
        assert second.reported == 0

    in_world(test)


def test_followers_of_a_store_that_fails_are_let_go(caplog: pytest.LogCaptureFixture) -> None:
    async def test(world: World) -> None:
        response = {"id": "resp", "status": "in_progress", "output": []}
        await world.put(Record("me", response, pack([]), lease=world.now + 60))
        await world.storage.write(lambda store: fail(store, "live_events"))
        assert await world.followed(world.others, "resp") == []
        assert "The background response resp cannot be followed: live_events: not now" in caplog.messages

    in_world(test)


@pytest.mark.parametrize("elsewhere", [True, False])
def test_followers_are_told_now_and_then_that_it_goes_on(
    endless: asyncio.Event, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    monkeypatch.setattr(background, "_KEEP_ALIVE", 0.05)

    async def test(world: World) -> None:
        job = await world.start("http://127.0.0.1:1")
        forward = await (world.others if elsewhere else world.jobs).follow(world.storage, "me", job.id, -1)
        told = b""
        async with HttpClient() as http, http.request("GET", forward.url) as response:
            async for piece in response.body:
                told += piece
                if told.endswith(b": keep-alive\n\n: keep-alive\n\n"):
                    job.take([event(0, "response.completed", response={**job.response, "status": "completed"})])
                    await world.put(Record("me", job.response, job.input, log_of(*job.events)))
                    break
            told = b"".join([piece async for piece in response.body])
        assert told.removeprefix(b": keep-alive\n\n").endswith(b"data: [DONE]\n\n")
        assert told.count(b"event: response.completed") == 1

    in_world(test)


def test_a_runner_whose_lease_is_refused_stops(endless: asyncio.Event) -> None:
    async def test(world: World) -> None:
        job = await world.start("http://127.0.0.1:1")
        await world.storage.write(lambda store: setattr(store, "live_events", lambda *_: []))
        await world.put(Record("me", {**job.response, "status": "cancelled"}, job.input))
        world.now += LEASE / 3 + 1
        assert job.task is not None
        await job.task
        assert (await world.stored(job.id)).response["status"] == "cancelled"

    in_world(test)


@pytest.mark.parametrize("after", [-1, 0, 2, 9])
def test_a_follower_gets_what_is_behind_its_place(endless: asyncio.Event, after: int) -> None:
    async def test(world: World) -> None:
        job = await world.start("http://127.0.0.1:1")
        job.take([event(0), event(1)])
        following = asyncio.ensure_future(world.followed(world.jobs, job.id, after))
        job.take([event(2), event(3, "response.completed", response={**job.response, "status": "completed"})])
        assert job.ended
        assert [one["sequence_number"] for one in await following] == list(range(after + 1, 4))

    in_world(test)


def test_what_has_come_of_a_response_can_be_got_while_it_runs(endless: asyncio.Event) -> None:
    async def test(world: World) -> None:
        job = await world.start("http://127.0.0.1:1")
        assert job.response["created_at"] == 2_000_000_000
        running = {**job.response, "status": "in_progress"}
        job.take(
            [event(0, "response.created", response=job.response), event(1, "response.in_progress", response=running)]
        )
        job.take([event(2)])
        assert job.response == running
        assert not job.ended
        while not await reported(world, job.id, 3):
            pass
        record = await world.stored(job.id)
        assert record.response["status"] == "in_progress"
        assert record.lease == world.now + LEASE
        assert record.input == job.input
        job.take([event(3)])
        while not await reported(world, job.id, 4):
            pass
        assert (await world.stored(job.id)).response["status"] == "in_progress"

    in_world(test)


async def reported(world: World, response_id: str, count: int) -> bool:
    """Whether the store knows of the first `count` events of a response, each of them once."""
    pieces = await world.storage.read(lambda store: store.live_events("me", response_id, 0))
    numbers = [one["sequence_number"] for piece in pieces or () for one in events_in(piece)]
    assert numbers == list(range(len(numbers)))
    return len(numbers) == count


def test_a_stopped_response_is_stopped_where_it_runs(endless: asyncio.Event) -> None:
    async def test(world: World) -> None:
        job = await world.start("http://127.0.0.1:1")
        job.take([event(0), event(1)])
        assert await world.others.stop(world.storage, "you", job.id) == []
        while len(told := await world.others.stop(world.storage, "me", job.id)) < 2:
            pass
        assert told == [event(0), event(1)]
        await world.storage.write(lambda store: store.delete("me", job.id))
        assert job.task is not None
        await job.task
        assert job.ended
        assert await world.storage.read(lambda store: store.get("me", job.id)) is None

    in_world(test)


def test_closing_stops_what_runs_and_whom_it_is_told(endless: asyncio.Event) -> None:
    async def test(world: World) -> None:
        job = await world.start("http://127.0.0.1:1")
        first = await world.jobs.follow(world.storage, "me", job.id, -1)
        second = await world.jobs.follow(world.storage, "me", job.id, -1)
        assert first.url.rpartition("/")[0] == second.url.rpartition("/")[0]
        assert first.url != second.url
        assert (await world.stored(job.id)).response["status"] == "queued"
        await world.jobs.close()
        assert job.task is not None
        assert job.task.cancelled()
        assert job.ended
        async with HttpClient() as http:
            with pytest.raises(OSError, match="Cannot connect"):
                async with http.request("GET", first.url):
                    pass

    in_world(test)


def test_a_job_is_claimed_once() -> None:
    async def test(world: World) -> None:
        upstream = Upstream(200, b"{}")
        upstream.may_answer.clear()
        async with upstream as url:
            job = await world.start(url)
            await upstream.was_asked.wait()
            headers = upstream.headers()
            assert world.jobs.claim(headers) is job
            assert world.jobs.claim(headers) is None
            upstream.may_answer.set()
            assert job.task is not None
            await job.task

    in_world(test)


def test_a_place_to_follow_is_good_for_once(endless: asyncio.Event) -> None:
    async def test(world: World) -> None:
        job = await world.start("http://127.0.0.1:1")
        job.end()
        forward = await world.jobs.follow(world.storage, "me", job.id, -1)
        for url, status in ((forward.url, 200), (forward.url, 404), (forward.url + "x", 404)):
            async with HttpClient() as http, http.request("GET", url) as response:
                assert response.status == status
                if status == 200:
                    assert response.headers["content-type"].startswith("text/event-stream")
                    assert response.headers["cache-control"] == "no-cache"

    in_world(test)


def log_of(*events: Json) -> bytes:
    log = EventLog()
    for one in events:
        log.add(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), json.dumps(one).encode()))
    return log.close()


def test_a_response_that_has_ended_elsewhere_is_told_from_the_store() -> None:
    async def test(world: World) -> None:
        response = {"id": "resp", "status": "completed", "output": []}
        told = [event(0), event(1), event(2, "response.completed", response=response)]
        await world.put(Record("me", response, pack([]), log_of(*told)))
        assert await world.followed(world.others, "resp") == told
        assert await world.followed(world.others, "resp", 1) == told[2:]
        assert await world.followed(world.others, "nothing") == []

    in_world(test)


def test_a_response_whose_runner_died_ends_as_failed_for_its_followers() -> None:
    async def test(world: World) -> None:
        response = {"id": "resp", "status": "in_progress", "output": []}
        await world.put(Record("me", response, pack([]), lease=world.now + 60))
        await world.storage.write(lambda store: store.add_events("me", "resp", log_of(event(0), event(1))))
        following = asyncio.ensure_future(world.followed(world.others, "resp"))
        await world.put(Record("me", {**response, "status": "cancelled"}, pack([])))
        found = await following
        assert found[-1]["type"] == "response.cancelled"
        assert found[-1]["sequence_number"] == len(found) - 1

    in_world(test)


@pytest.mark.parametrize(
    ("status", "lease", "shown"),
    [
        ("in_progress", 100.0, "failed"),
        ("in_progress", 99.0, "failed"),
        ("in_progress", 101.0, "in_progress"),
        ("in_progress", None, "in_progress"),
        ("completed", 99.0, "completed"),
        ("cancelled", 99.0, "cancelled"),
    ],
)
def test_a_response_without_a_runner_has_failed(status: str, lease: float | None, shown: str) -> None:
    response = current(Record("me", {"id": "r", "status": status, "error": None}, b"", lease=lease), 100.0)
    assert response["status"] == shown
    assert response["id"] == "r"
    if shown == "failed":
        assert response["error"]["code"] == "server_error"
        assert "has stopped" in response["error"]["message"]
