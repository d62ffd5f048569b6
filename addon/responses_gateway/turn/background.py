"""Responses with `background: true`. The gateway runs them itself, so they go on when their client has gone.

Each is an ordinary turn: the gateway posts the request to its own listener, so that it is routed, inspected and stored
like any other. Its events are reported to the store in short intervals, so that other processes on the same store can
follow it, and stop it.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import cast
from urllib.parse import urlsplit

import tornado.httpserver
import tornado.iostream
import tornado.netutil
import tornado.web

from responses_gateway.protocol import sse
from responses_gateway.protocol.client_headers import IDENTITY_HEADERS
from responses_gateway.protocol.http import Call, Forward
from responses_gateway.protocol.json import JsonObject, loads
from responses_gateway.protocol.responses import ResponsesRequest
from responses_gateway.security.terminal import get_logger
from responses_gateway.state.packing import EventLog, events_in
from responses_gateway.state.recorder import Recorder
from responses_gateway.state.storage import Storage
from responses_gateway.state.store import FINAL, Record, StoreError
from responses_gateway.translate.answer.snapshot import Snapshot
from responses_gateway.upstream.http_client import HttpClient

logger = get_logger(__name__)

JOB_HEADER = "x-responses-gateway-job"
"""Marks the gateway's own request for a job; its value is a secret of this process."""

FLOW_HEADER = "x-responses-gateway-flow"
"""On such a request: the id of the flow in which the client asked for it."""

LEASE = 30.0
"""Seconds after which a runner counts as dead; renewed at a third of it."""

_POLL = 0.25
"""Seconds between two reports of a runner to the store, and between two reads of them by other processes."""

_KEEP_ALIVE = 10.0
_KEPT = 1 << 20
"""Bytes of a turn's answer that are searched for an error message."""

_FORWARDED = ("authorization", "x-api-key", "api-key", "originator", "user-agent", *IDENTITY_HEADERS)


class Job:
    """One background response while it runs."""

    def __init__(self, owner: str, response: JsonObject, given: bytes) -> None:
        self.id: str = response["id"]
        self.owner = owner
        self.response = response
        self.input = given
        self.events: list[JsonObject] = []
        self.ended = False
        self.task: asyncio.Task[None] | None = None
        self.pieces = 0
        """How often events were reported to the store."""
        self.reported = 0
        """How many events the store knows of."""
        self._news = asyncio.Event()

    def take(self, events: list[JsonObject]) -> None:
        """Events of the answer as they are made."""
        self.events += events
        self.response = next((event["response"] for event in reversed(events) if "response" in event), self.response)
        self.ended = self.ended or self.response["status"] in FINAL
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    async def changed(self) -> None:
        """Wait for more events, or the end."""
        await self._news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Jobs:
    """The background responses of this process, and a small server on loopback that their followers are sent to."""

    def __init__(self, new_id: Callable[[str], str], clock: Callable[[], float]) -> None:
        self._new_id = new_id
        self._clock = clock
        self._running: dict[str, Job] = {}
        self._tokens: dict[str, Job] = {}
        self._followers: dict[str, AsyncIterator[bytes]] = {}
        self._server: tornado.httpserver.HTTPServer | None = None
        self._port = 0

    # Running ----------------------------------------------------------------------------------------------------------

    async def start(self, call: Call, request: ResponsesRequest, recorder: Recorder) -> Job:
        """Accept a response and begin to run it; `recorder` has the items of the request. Raises StoreError."""
        storage = recorder.storage
        assert storage is not None  # noqa: S101 (others are refused)
        snapshot = Snapshot(request, self._new_id("resp"), int(self._clock()))
        job = Job(recorder.owner, snapshot.render("queued"), recorder.input)
        lease = self._clock() + LEASE
        record = Record(job.owner, job.response, job.input, lease=lease, whole=recorder.whole_input)
        await storage.write(lambda store: store.put(record))
        token = secrets.token_urlsafe(32)
        self._tokens[token] = self._running[job.id] = job
        job.task = asyncio.create_task(self._run(job, call, token, storage))
        return job

    def claim(self, headers: Mapping[str, str]) -> Job | None:
        """The job whose own request this is."""
        return self._tokens.pop(headers.get(JOB_HEADER, ""), None)

    def cancel(self, owner: str, response_id: str) -> Job | None:
        """Stop a response if this process runs it."""
        job = self._running.get(response_id)
        if job is None or job.owner != owner:
            return None
        if job.task is not None:
            job.task.cancel()
        return job

    async def stop(self, storage: Storage, owner: str, response_id: str) -> list[JsonObject]:
        """Stop a response if this process runs it; returns its events so far, wherever it runs. Raises StoreError."""
        if (job := self.cancel(owner, response_id)) is not None:
            return job.events
        return _events_in_pieces(await _live_events(storage, owner, response_id, 0))

    async def close(self) -> None:
        tasks = [job.task for job in self._running.values() if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            self._server.stop()

    async def _run(self, job: Job, call: Call, token: str, storage: Storage) -> None:
        posting = asyncio.ensure_future(self._post(call, token))
        renewed_at = self._clock()
        try:
            while not (await asyncio.wait({posting}, timeout=_POLL))[0]:
                is_due = self._clock() - renewed_at > LEASE / 3
                if not await self._report(job, storage, renew=is_due) and await _is_stopped(job, storage):
                    return
                renewed_at = self._clock() if is_due else renewed_at
            if not job.ended:
                failure = self._failure(job, posting.result())
                await storage.write(lambda store: store.put(failure))
        except StoreError as error:
            logger.error("The background response %s: %s", job.id, error)
        finally:
            posting.cancel()
            self._tokens.pop(token, None)
            self._running.pop(job.id, None)
            job.end()

    async def _report(self, job: Job, storage: Storage, *, renew: bool) -> bool:
        """Write the new events of a response to the store, and renew its lease; False when it does not run any more."""
        if job.ended:
            return True
        owner, response_id, lease = job.owner, job.id, self._clock() + LEASE
        known = len(job.events)
        events = job.events[job.reported : known]
        try:
            if renew and not await storage.write(lambda store: store.renew(owner, response_id, lease)):
                return False
            if events:
                log = EventLog()
                log.add(sse.encode_all(events))
                piece = log.close()
                if not job.pieces:
                    record = Record(owner, job.response, job.input, lease=lease)
                    await storage.write(lambda store: store.put(record))
                runs = await storage.write(lambda store: store.add_events(owner, response_id, piece))
                job.pieces += 1
                job.reported = known
                return runs
            return await _live_events(storage, owner, response_id, job.pieces) is not None
        except StoreError as error:
            # The end of the response stores all of its events.
            logger.warning("The background response %s cannot be followed elsewhere now: %s", job.id, error)
            return True

    async def _post(self, call: Call, token: str) -> str:
        """Make the turn; returns what went wrong, if no response came of it."""
        headers = {name: call.headers[name] for name in _FORWARDED if name in call.headers}
        headers |= {"content-type": "application/json", JOB_HEADER: token, FLOW_HEADER: call.flow}
        url = f"{call.base_url}/v1/responses"
        body = b""
        try:
            # The certificate, if any, is the gateway's own, and for another name.
            async with (
                HttpClient([urlsplit(url).hostname or ""], verify=False) as http,
                http.request("POST", url, headers, call.body) as response,
            ):
                async for piece in response.body:
                    body += piece[: _KEPT - len(body)]
        except OSError as error:
            return f"The gateway could not reach itself: {error}"
        return _message(body) or f"The turn ended with status {response.status} and no response."

    def _failure(self, job: Job, message: str) -> Record:
        failed = {**job.response, "status": "failed", "error": {"code": "server_error", "message": message}}
        event = {"type": "response.failed", "sequence_number": len(job.events), "response": failed}
        job.take([event])
        log = EventLog()
        log.add(sse.encode_all(job.events))
        return Record(job.owner, failed, job.input, log.close())

    # Following --------------------------------------------------------------------------------------------------------

    async def follow(self, storage: Storage, owner: str, response_id: str, after: int) -> Forward:
        """Where to get the events of a running response behind the sequence number `after`, as they come."""
        if self._server is None:
            sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
            application = tornado.web.Application([(r"/(\S+)", _Follow, {"followers": self._followers})])
            self._server = tornado.httpserver.HTTPServer(application)
            self._server.add_sockets(sockets)
            self._port = sockets[0].getsockname()[1]
        token = secrets.token_urlsafe(32)
        self._followers[token] = self._events(storage, owner, response_id, after)
        return Forward(f"http://127.0.0.1:{self._port}/{token}")

    async def _events(self, storage: Storage, owner: str, response_id: str, after: int) -> AsyncIterator[bytes]:
        job = self._running.get(response_id)
        events = _live(job) if job is not None else self._reported(storage, owner, response_id)
        async for event in events:
            if event is None:
                yield b": keep-alive\n\n"
            elif event["sequence_number"] > after:
                yield sse.encode(event)
        yield sse.DONE

    async def _reported(self, storage: Storage, owner: str, response_id: str) -> AsyncIterator[JsonObject | None]:
        """The events of a response that another process runs, as it reports them; None now and then."""
        pieces, last, told_at = 0, -1, time.monotonic()
        while True:
            try:
                news = await _live_events(storage, owner, response_id, pieces)
                record = None if news is not None else await storage.read(lambda store: store.get(owner, response_id))
            except StoreError as error:
                logger.warning("The background response %s cannot be followed: %s", response_id, error)
                return
            if news is not None:
                pieces += len(news)
                events = _events_in_pieces(news)
            else:
                events = self._last_events(record, last) if record is not None else []
            for event in events:
                if event["sequence_number"] > last:
                    last = event["sequence_number"]
                    told_at = time.monotonic()
                    yield event
            if news is None:
                return
            if time.monotonic() - told_at > _KEEP_ALIVE:
                told_at = time.monotonic()
                yield None
            await asyncio.sleep(_POLL)

    def _last_events(self, record: Record, last: int) -> list[JsonObject]:
        """The events of a response that has ended; one event with its present state if its runner died."""
        events = events_in(record.events)
        if events:
            return events
        response = current(record, self._clock())
        return [{"type": f"response.{response['status']}", "sequence_number": last + 1, "response": response}]


async def _is_stopped(job: Job, storage: Storage) -> bool:
    """Whether a response that does not run any more was cancelled or deleted; otherwise it has just ended."""
    try:
        record = await storage.read(lambda store: store.get(job.owner, job.id))
    except StoreError:
        return False
    return record is None or record.response["status"] == "cancelled"


async def _live_events(storage: Storage, owner: str, response_id: str, skip: int) -> list[bytes] | None:
    """The pieces that the runner of a response has reported; None when it does not run any more. Raises StoreError."""
    return await storage.read(lambda store: store.live_events(owner, response_id, skip))


def _events_in_pieces(pieces: Sequence[bytes] | None) -> list[JsonObject]:
    return [event for piece in pieces or () for event in events_in(piece)]


async def _live(job: Job) -> AsyncIterator[JsonObject | None]:
    """The events of a job until it ends; None now and then while there are none."""
    position = 0
    while True:
        while position < len(job.events):
            yield job.events[position]
            position += 1
        if job.ended:
            return
        try:
            await asyncio.wait_for(job.changed(), _KEEP_ALIVE)
        except TimeoutError:
            yield None


class _Follow(tornado.web.RequestHandler):
    def initialize(self, followers: dict[str, AsyncIterator[bytes]]) -> None:
        self._followers = followers

    async def get(self, token: str) -> None:
        events = self._followers.pop(token, None)
        if events is None:
            raise tornado.web.HTTPError(404)
        self.set_header("content-type", "text/event-stream; charset=utf-8")
        self.set_header("cache-control", "no-cache")
        with contextlib.suppress(tornado.iostream.StreamClosedError, asyncio.CancelledError):
            await self.flush()
            async for piece in events:
                if piece:
                    self.write(piece)
                    await self.flush()


def current(record: Record, now: float) -> JsonObject:
    """The Response object as clients see it: one whose runner died has failed."""
    if record.final or record.lease is None or record.lease > now:
        return record.response
    message = "The gateway that ran this response has stopped."
    return {**record.response, "status": "failed", "error": {"code": "server_error", "message": message}}


def _message(body: bytes) -> str | None:
    """The message in an error body of the gateway; None when there is none."""
    try:
        value = loads(body)
    except (ValueError, RecursionError):
        return None
    error = cast("JsonObject", value).get("error") if isinstance(value, dict) else None
    return str(error.get("message")) if isinstance(error, dict) else None
