"""Opens exchanges: finds the route and the session of a request, and translates it."""

from collections.abc import Mapping
from dataclasses import replace

from responses_gateway.hosted.calls import NO_CALLS, Calls
from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import McpApprovalResponse, ResponsesRequest, items_of
from responses_gateway.settings.settings import Settings
from responses_gateway.state.recorder import Recorder
from responses_gateway.translate.answer.compaction_output import CompactionOutput
from responses_gateway.translate.answer.demands import demands
from responses_gateway.translate.answer.items import Output
from responses_gateway.translate.answer.options import StreamOptions
from responses_gateway.translate.answer.prepared_output import PreparedOutput
from responses_gateway.translate.answer.snapshot import Snapshot
from responses_gateway.translate.answer.state_machine import AnswerStateMachine
from responses_gateway.translate.request.chat_fields import with_chat_fields
from responses_gateway.translate.request.compaction import asks_for_compaction
from responses_gateway.translate.request.configuration_updates import with_updates
from responses_gateway.translate.request.prompts import with_prompt
from responses_gateway.translate.request.tool_results import CALL_RESULTS
from responses_gateway.translate.tools.offered_tools import forbids_calls
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.runtime import Runtime
from responses_gateway.turn.sessions import session_id
from responses_gateway.turn.upstream_request import COMPACTION, UpstreamRequest, completed_request
from responses_gateway.upstream.routing import Route

SEAL_REASONING = "reasoning.encrypted_content"
"""A value of the request's `include`."""


def open_exchange(
    request: ResponsesRequest,
    headers: Mapping[str, str],
    runtime: Runtime,
    recorder: Recorder,
    response_id: str | None = None,
    *,
    hosted: Calls = NO_CALLS,
    kind: type[Exchange] = Exchange,
    route: Route | None = None,
) -> Exchange:
    """Translate a request, whose input has its whole history. `recorder` stores the response.

    `headers` are the client's, by lower-case name. `response_id` is that of a response which was announced before.
    `hosted` carries out the hosted tools that the request declares. `kind` is the class of the exchange. `route` is
    where the request goes, if not where its model says. Raises GatewayError with what the client is to be told.
    """
    request = with_updates(with_chat_fields(request, recorder.ledger), recorder.ledger)
    route = route or runtime.router.of(recorder.owner).resolve(request.model)
    thread = session_id(request, headers)
    session = runtime.sessions.get(recorder.owner, thread) if thread else None
    upstream_request = UpstreamRequest(
        completed_request(_asked(with_prompt(request, runtime.settings.prompts)), runtime.state.thoughts, recorder),
        route,
        recorder,
        session,
        hosted=hosted.tools,
        begun=items_of([one.item for one in hosted.begun]),
    )
    if request.model is None:
        request = request.model_copy(update={"model": route.model})
    if request.service_tier and "service_tier" not in upstream_request.body:
        # What is echoed is what holds.
        request = request.model_copy(update={"service_tier": None})
    for_codex = is_codex(headers)
    output, steering = _output(request, runtime, recorder), runtime.steerings.claim(headers)
    machine = AnswerStateMachine(
        Snapshot(request, response_id or runtime.new_id("resp"), int(runtime.clock())),
        upstream_request.tools,
        recorder.ledger,
        replace(
            _stream_options(request, route, for_codex, runtime.settings, recorder),
            # A client that does not stream loses nothing when the answer is checked before it is passed on.
            schema=upstream_request.schema or (None if request.stream else upstream_request.enforced_schema),
            uncallable=_uncallable(request, upstream_request.body),
            silence_is_done=_ends_with_result(request) or not request.generates,
            demands=demands(request, upstream_request.body, upstream_request.enforced_schema),
        ),
        new_id=runtime.new_id,
        clock=runtime.clock,
        output=output,
        begun=hosted.begun,
        # What stands for the whole of an answer is not made from half of one.
        steering=steering if output is None else None,
    )
    return kind(request, upstream_request, machine, session, recorder, runtime.watch, hosted, for_codex=for_codex)


def _asked(request: ResponsesRequest) -> ResponsesRequest:
    """What the upstream is asked: for one token, if it is only to read the prompt. No upstream takes a zero."""
    return request if request.generates else request.model_copy(update={"max_output_tokens": 1})


def _output(request: ResponsesRequest, runtime: Runtime, recorder: Recorder) -> Output | None:
    """What shows the answer, if not as it is."""
    if not request.generates:
        return PreparedOutput(runtime.new_id)
    if asks_for_compaction(request):
        return CompactionOutput(runtime.new_id, recorder.envelopes(COMPACTION))
    return None


def _stream_options(
    request: ResponsesRequest, route: Route, for_codex: bool, settings: Settings, recorder: Recorder
) -> StreamOptions:
    return StreamOptions(
        reasoning=settings.reasoning,
        seal_reasoning=SEAL_REASONING in (request.include or ()),
        envelopes=recorder.envelopes(route.provider, route.model),
        queued=bool(request.background),
        incomplete_completes=settings.terminal == "completed" or (settings.terminal == "auto" and for_codex),
        heal_markup=route.profile.heal_markup,
        for_codex=for_codex,
        reasoning_snapshots=route.profile.answers.reasoning_deltas == "snapshots",
        tolerate_eof=route.profile.answers.end == "unmarked",
    )


def _uncallable(request: ResponsesRequest, chat_body: JsonObject) -> frozenset[str] | None:
    """The tools that are offered but must not be called, by their names in the chat request."""
    if asks_for_compaction(request) or forbids_calls(request):
        return frozenset(tool["function"]["name"] for tool in chat_body.get("tools", ()) if "function" in tool)
    return None


def _ends_with_result(request: ResponsesRequest) -> bool:
    """Whether what the model is to answer is the result of a call, and no word of a user."""
    last = request.input[-1] if request.input else None
    return isinstance(last, (*CALL_RESULTS, McpApprovalResponse))


def is_codex(headers: Mapping[str, str]) -> bool:
    """Whether the client is Codex, by the headers that all of its programs send.

    Editors put their own name on the Codex that they run, but its `x-codex-` headers stay.
    """
    names = (headers.get("originator", ""), headers.get("user-agent", ""))
    return any(name.lower().startswith("codex") for name in names) or any(
        name.startswith("x-codex-") for name in headers
    )
