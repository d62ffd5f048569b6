"""Serves recorded turns again with today's code.

The answers of upstreams, and everything else that came from outside, are taken from the record. Nothing leaves the
process, and nothing is stored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import cast
from urllib.parse import urlsplit

from responses_gateway.endpoints.dispatch import serve
from responses_gateway.hosted.interface import HostedError
from responses_gateway.hosted.registry import HostedTools, declarations, recorded_tools
from responses_gateway.inspection.recording import stream_capture
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn, parsed
from responses_gateway.inspection.recording.turn_recorder import TurnRecorder
from responses_gateway.inspection.views.answer import answer_of
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Call
from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import ResponsesRequest
from responses_gateway.proxy import messages
from responses_gateway.proxy.contract import Failure
from responses_gateway.state.state import State
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import EnvelopeCodec
from responses_gateway.translate.repair.request_repairs import Repair, describe
from responses_gateway.translate.tools.hosted import BegunItem, HostedCall, HostedResult, HostedTool
from responses_gateway.translate.tools.names import flat_name
from responses_gateway.turn.background import JOB_HEADER, Jobs
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.native_request import NativeRequest
from responses_gateway.turn.runtime import Runtime
from responses_gateway.turn.served_turn import ServedTurn
from responses_gateway.turn.sessions import Sessions
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.turn.upstream_request import COMPACTION
from responses_gateway.upstream.learned_repairs import LearnedRepairs
from responses_gateway.upstream.model_lists import UpstreamLists
from responses_gateway.upstream.routing import Router
from responses_gateway.upstream.server import Server

_UNKNOWN_HISTORY = frozenset({"previous_response_not_found", "conversation_not_found", "item_not_found"})


class NotComparable(Exception):
    """Why a turn cannot be served again as it was."""


@dataclass(frozen=True)
class Rerun:
    """What today's code makes of a recorded turn."""

    requests: list[JsonObject]
    """The chat requests, round by round."""

    events: stream_capture.CapturedStream
    """The stream to the client."""

    envelopes: Sequence[EnvelopeCodec]
    """What opens the envelopes in it."""


class Rerunner:
    """Serves turns in their order, so that sessions, the store and learned repairs grow as they did then."""

    def __init__(self, runtime: Runtime, learned: LearnedRepairs) -> None:
        settings = runtime.settings.model_copy(update={"store": "memory"})
        self._response_id = ""
        self._fresh_id = runtime.new_id
        self._learned = _RecordedRepairs(learned, runtime.clock)
        self._runtime = replace(
            runtime,
            settings=settings,
            sessions=Sessions(),
            state=State(settings),
            lists=cast("UpstreamLists", _NoLists()),
            jobs=cast("Jobs", _OwnJobs(self)),
            new_id=self.new_id,
            watch=None,
        )

    def new_id(self, prefix: str) -> str:
        """The response gets the id that it had, because later turns may refer to it."""
        return self._response_id if prefix == "resp" and self._response_id else self._fresh_id(prefix)

    async def close(self) -> None:
        await self._runtime.state.close()

    async def run(self, record: RecordedTurn) -> Rerun:
        """Raises NotComparable, and GatewayError when today's code refuses the request."""
        if record.request is None or not record.rounds:
            raise NotComparable("nothing was recorded, or nothing went to the upstream")
        facts = record.facts
        headers = dict(facts["headers"])
        runtime = replace(
            self._for_upstream_of(record), hosted=cast("HostedTools", _RecordedTools(record, self.new_id))
        )
        self._response_id = str(answer_of(record).response.get("id") or "")
        self._learned.wanted = {field for action, field, *_ in facts["ledger"] if action == "learnt"}
        try:
            outcome = await serve(Call.parse(facts["method"], facts["path"], headers, record.request, ""), runtime)
        except GatewayError as error:
            if error.code in _UNKNOWN_HISTORY:
                raise NotComparable(f"its history is not among these flows: {error.message}") from None
            raise
        if isinstance(outcome, NativeRequest):
            raise NotComparable("its target speaks the Responses API, so that nothing is translated")
        if not isinstance(outcome, Exchange):
            raise NotComparable("today's code answers it without an upstream")
        notes = TurnRecorder(clock=runtime.clock, keep=True)
        outcome.observe(notes)
        turn = ServedTurn(outcome, headers, self._services(runtime, record))
        requests = await _serve(turn, record, notes)
        notes.ended()
        route, state = outcome.upstream_request.route, runtime.state
        return Rerun(
            requests, notes.events.data, (state.envelopes(route.provider, route.model), state.envelopes(COMPACTION))
        )

    def _services(self, runtime: Runtime, record: RecordedTurn) -> TurnServices:
        return TurnServices(
            runtime.settings,
            runtime.router,
            self._learned,
            _no_models,
            sleep=_no_wait,
            jitter=lambda: 0.0,
        )

    def _for_upstream_of(self, record: RecordedTurn) -> Runtime:
        """A runtime with today's settings; if they name no upstream, with the recorded one and its profile, or that
        which its server showed then."""
        settings = self._runtime.settings
        if settings.upstream or settings.provider:
            return self._runtime
        base = record.rounds[0]["url"].removesuffix("/chat/completions")
        url = urlsplit(base)
        router = Router(settings.model_copy(update={"upstream": base}), f"{url.scheme}://{url.netloc}")
        if detected := record.facts.get("detected"):
            router.identify(router.upstreams()[0], Server(detected))
        return replace(self._runtime, router=router)


async def _serve(turn: ServedTurn, record: RecordedTurn, notes: TurnRecorder) -> list[JsonObject]:
    """Let the recorded rounds pass as the proxy layer would; returns the chat requests."""
    requests = [turn.exchange.upstream_request.body]
    began = False
    for at, one in enumerate(record.rounds):
        is_cut = record.facts["status"] == "cut" and at == len(record.rounds) - 1
        began = _answer(turn, one, is_cut=is_cut) or began
        if turn.ended or is_cut:
            return requests
        if not await turn.next_round():
            break
        began = bool(turn.told()) or began
        requests.append(turn.exchange.upstream_request.body)
    if len(requests) > len(record.rounds):
        # Today's code asks once more, and no answer to that is recorded.
        return requests
    began = bool(turn.told()) or began
    if began or (turn.streams and stream_capture.body_of(record.events).startswith(b"event:")):
        turn.end()
    else:
        notes.answered(turn.answer().raw_content or b"")
    return requests


def _answer(turn: ServedTurn, one: JsonObject, *, is_cut: bool) -> bool:
    """Let the recorded answer to one round pass; whether the client got a stream for it."""
    pieces = [piece.data for piece in stream_capture.pieces(one["chunks"])]
    failure = Failure(*one["failure"]) if one.get("failure") else None
    began = False
    if one["status"]:
        # Whole bodies are recorded without their content-encoding.
        is_whole = one["status"] != 200 or not turn.streams
        fields = [(name, value) for name, value in one["answer_headers"] if not is_whole or name != "content-encoding"]
        began = turn.begin(one["status"], messages.headers(fields))
    for data in pieces if began else ():
        turn.feed(data)
        if turn.ended or turn.round_over:
            return True
    if failure is not None:
        turn.fail(failure)
    elif began and not is_cut:
        turn.finish()
    elif one["status"] and not is_cut:
        turn.take(b"".join(pieces))
    return began


class _RecordedTools:
    """Offers the hosted tools that the gateway carried out for a turn."""

    def __init__(self, record: RecordedTurn, new_id: Callable[[str], str]) -> None:
        self._record = record
        self._new_id = new_id

    async def open(
        self, request: ResponsesRequest, owner: str, session: str | None, ledger: Ledger
    ) -> "_RecordedCalls":
        chat = parsed(self._record.rounds[0]["body"])
        offered = {(tool.get("function") or {}).get("name") for tool in _tools(chat)}
        try:
            recorded = recorded_tools(request, owner, ledger, self._new_id)
        except HostedError as error:
            raise NotComparable(str(error)) from None
        tools = [
            tool
            for tool in recorded
            for first in declarations(request, tool.types)[:1]
            if first.value.get("defer_loading")
            or offered.issuperset(flat_name(one.namespace, one.name) for one in tool.functions(first.value))
        ]
        return _RecordedCalls(tools, self._texts())

    def _texts(self) -> list[str]:
        """The texts that the model read: they are in the request of the last round."""
        first, last = (parsed(self._record.rounds[at]["body"]) or {} for at in (0, -1))
        added = last.get("messages", [])[len(first.get("messages", [])) :]
        if any(isinstance(message.get("content"), list) for message in added):
            raise NotComparable("a hosted tool gave the model pictures, which are not made again")
        return [message.get("content") or "" for message in added if message.get("role") == "tool"]


def _tools(body: object) -> Sequence[JsonObject]:
    tools = body.get("tools") if isinstance(body, dict) else None
    return [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []


class _RecordedCalls:
    """Gives the recorded results."""

    excess = None
    begun: Sequence[BegunItem] = ()

    def __init__(self, tools: Sequence[HostedTool], texts: Sequence[str]) -> None:
        self.tools = tools
        self._texts = iter(texts)

    def begin_round(self) -> None:
        """Every round is one that was recorded."""

    async def run(self, call: HostedCall) -> HostedResult:
        text = next(self._texts, "")
        if text.startswith((f"{call.name} failed: ", "The limit of ")):
            return HostedResult(text, failed=True)
        return call.tool.recalled(call.name, call.arguments, text)


class _RecordedRepairs(LearnedRepairs):
    """The learned repairs that the recorded turn used."""

    def __init__(self, today: LearnedRepairs, clock: Callable[[], float]) -> None:
        super().__init__(None, clock)
        self._today = today
        self.wanted: set[str] = set()
        """The fields of the chat request that were repaired."""

    def repairs(self, owner: str, upstream: str, model: str) -> list[Repair]:
        known = [*super().repairs(owner, upstream, model), *self._today.everybodys(upstream, model)]
        return [repair for repair in dict.fromkeys(known) if describe(repair)[0] in self.wanted]


class _OwnJobs:
    """Serves the gateway's own requests for background responses, but begins no new ones."""

    def __init__(self, rerunner: Rerunner) -> None:
        self._rerunner = rerunner

    def claim(self, headers: Mapping[str, str]) -> SimpleNamespace | None:
        if JOB_HEADER not in headers:
            return None
        return SimpleNamespace(id=self._rerunner.new_id("resp"), take=lambda _: None)

    async def start(self, *_: object) -> None:
        raise NotComparable("it was answered by a flow of its own, because it ran in the background")


class _NoLists:
    async def ensure(self, *_: object) -> None:
        """Nobody is asked."""


async def _no_models(*_: object) -> None:
    return None


async def _no_wait(_: float) -> None:
    return None
