"""Responses with `background: true`: run by the gateway itself, so that they survive their client's leaving.

Each is an ordinary turn: the gateway posts the request to its own listener, so that it is routed, inspected and stored
like any other. What happens in it is followed in the process that runs it; other processes on the same store see it
when it ends, or that its runner died.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from typing import cast

import tornado.httpserver
import tornado.iostream
import tornado.netutil
import tornado.web

from responses_gateway import http_client
from responses_gateway.endpoints.http import Call, Forward
from responses_gateway.protocol import sse
from responses_gateway.protocol.json import JsonObject, loads
from responses_gateway.protocol.responses import ResponsesRequest
from responses_gateway.state.packing import EventLog, events_in
from responses_gateway.state.store import FINAL, Record, Store, StoreError
from responses_gateway.terminal import get_logger
from responses_gateway.translate.snapshot import Snapshot

logger = get_logger(__name__)

JOB_HEADER = "x-responses-gateway-job"
"""Marks the gateway's own request for a job; its value is a secret of this process."""

FLOW_HEADER = "x-responses-gateway-flow"
"""On such a request: the id of the flow in which the client asked for it."""

LEASE = 30.0
"""Seconds after which a runner counts as dead; renewed at a third of it."""

_POLL = 0.5
"""Seconds between looks at a response that another process runs."""

_KEEP_ALIVE = 10.0
_KEPT = 1 << 20
"""Bytes of a turn's answer that are looked at for what went wrong."""

_FORWARDED = ("authorization", "x-api-key", "api-key", "originator", "user-agent", "session_id", "session-id")


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

    @property
    def output(self) -> list[JsonObject]:
        """The items that are done."""
        return [event["item"] for event in self.events if event["type"] == "response.output_item.done"]

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

    async def start(self, call: Call, request: ResponsesRequest, store: Store, owner: str, given: bytes) -> Job:
        """Accept a response and begin to run it; `given` are the packed items of the request. Raises StoreError."""
        snapshot = Snapshot(request, self._new_id("resp"), int(self._clock()))
        job = Job(owner, snapshot.render("queued"), given)
        record = Record(owner, job.response, given, lease=self._clock() + LEASE)
        await asyncio.to_thread(store.put, record)
        token = secrets.token_urlsafe(32)
        self._tokens[token] = self._running[job.id] = job
        job.task = asyncio.create_task(self._run(job, call, token, store))
        return job

    def claim(self, headers: Mapping[str, str]) -> Job | None:
        """The job whose own request this is."""
        return self._tokens.pop(headers.get(JOB_HEADER, ""), None)

    def cancel(self, owner: str, response_id: str) -> list[JsonObject]:
        """Stop a response if this process runs it; returns the items that were done."""
        job = self._running.get(response_id)
        if job is None or job.owner != owner:
            return []
        if job.task is not None:
            job.task.cancel()
        return job.output

    async def close(self) -> None:
        tasks = [job.task for job in self._running.values() if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            self._server.stop()

    async def _run(self, job: Job, call: Call, token: str, store: Store) -> None:
        posting = asyncio.ensure_future(self._post(call, token))
        try:
            while not (await asyncio.wait({posting}, timeout=LEASE / 3))[0]:
                if not await asyncio.to_thread(store.renew, job.owner, job.id, self._clock() + LEASE):
                    return
            if not job.ended:
                await asyncio.to_thread(store.put, self._failure(job, posting.result()))
        except StoreError as error:
            logger.error("The background response %s: %s", job.id, error)
        finally:
            posting.cancel()
            self._tokens.pop(token, None)
            self._running.pop(job.id, None)
            job.end()

    async def _post(self, call: Call, token: str) -> str:
        """Make the turn; returns what went wrong, if no response came of it."""
        headers = {name: call.headers[name] for name in _FORWARDED if name in call.headers}
        headers |= {"content-type": "application/json", JOB_HEADER: token, FLOW_HEADER: call.flow}
        url = f"{call.base_url}/v1/responses"
        body = b""
        try:
            async with http_client.request("POST", url, headers, call.body, verify=False) as response:
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

    async def follow(self, store: Store, owner: str, response_id: str, after: int) -> Forward:
        """Where to get the events of a running response behind the sequence number `after`, as they come."""
        if self._server is None:
            sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
            application = tornado.web.Application([(r"/(\S+)", _Follow, {"followers": self._followers})])
            self._server = tornado.httpserver.HTTPServer(application)
            self._server.add_sockets(sockets)
            self._port = sockets[0].getsockname()[1]
        token = secrets.token_urlsafe(32)
        self._followers[token] = self._events(store, owner, response_id, after)
        return Forward(f"http://127.0.0.1:{self._port}/{token}")

    async def _events(self, store: Store, owner: str, response_id: str, after: int) -> AsyncIterator[bytes]:
        job = self._running.get(response_id)
        if job is None:
            async for events in self._stored_events(store, owner, response_id):
                yield sse.encode_all(event for event in events if event["sequence_number"] > after)
        else:
            async for event in _live(job):
                if event is None:
                    yield b": keep-alive\n\n"
                elif event["sequence_number"] > after:
                    yield sse.encode(event)
        yield sse.DONE

    async def _stored_events(self, store: Store, owner: str, response_id: str) -> AsyncIterator[list[JsonObject]]:
        """The events of a response that another process runs: all at once, when it has ended."""
        while True:
            record = await asyncio.to_thread(store.get, owner, response_id)
            if record is None or record.final or current(record, self._clock())["status"] in FINAL:
                yield events_in(record.events) if record else []
                return
            await asyncio.sleep(_POLL)


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
    """The Response object as it is to be shown: one whose runner died has failed."""
    if record.final or record.lease is None or record.lease > now:
        return record.response
    message = "The gateway that ran this response has stopped."
    return {**record.response, "status": "failed", "error": {"code": "server_error", "message": message}}


def _message(body: bytes) -> str | None:
    """What an error body of ours says."""
    try:
        value = loads(body)
    except (ValueError, RecursionError):
        return None
    error = cast("JsonObject", value).get("error") if isinstance(value, dict) else None
    return str(error.get("message")) if isinstance(error, dict) else None
