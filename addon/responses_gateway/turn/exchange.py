"""One Responses call from start to end: the translation of its request, and of the answer as it arrives.

It knows HTTP's words (status, headers, bytes) but nothing of mitmproxy. No method that takes upstream bytes ever
raises: whatever happens becomes the end of the client's stream.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from responses_gateway.inspection.recording.observer import Observer
from responses_gateway.protocol import encoding, sse
from responses_gateway.protocol.errors import EmptyAnswer, GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import Item, ResponsesRequest, items_of
from responses_gateway.security.redaction import Redactor
from responses_gateway.security.terminal import get_logger
from responses_gateway.settings.settings import Settings
from responses_gateway.state.recorder import Recorder
from responses_gateway.state.state import State
from responses_gateway.translate.answer.answer_reader import AnswerReader
from responses_gateway.translate.answer.compaction_output import CompactionOutput
from responses_gateway.translate.answer.items import Event
from responses_gateway.translate.answer.options import StreamOptions
from responses_gateway.translate.answer.snapshot import Snapshot
from responses_gateway.translate.answer.state_machine import AnswerStateMachine
from responses_gateway.translate.answer.whole_answer import completion_in, final_response
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer
from responses_gateway.translate.repair.upstream_errors import error_in, upstream_error
from responses_gateway.translate.request.chat_request import Translation
from responses_gateway.translate.request.compaction import asks_for_compaction
from responses_gateway.translate.token_estimate import estimated_tokens
from responses_gateway.translate.tools.offered_tools import ForbiddenCall, forbids_calls, without_tools
from responses_gateway.translate.tools.web_search import SearchCall, SearchCallResult, SearchSettings
from responses_gateway.turn.sessions import Session, Sessions, session_id
from responses_gateway.turn.upstream_request import COMPACTION, chat_request, whole_request
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.upstream.model_lists import UpstreamLists
from responses_gateway.upstream.routing import Route, Router
from responses_gateway.upstream.upstreams import request_headers

if TYPE_CHECKING:
    from responses_gateway.turn.background import Jobs

logger = get_logger(__name__)

type Headers = Mapping[str, str]
"""HTTP headers by lower-case name."""

type Watch = Callable[[ResponsesRequest, list[Event]], None]
"""Is told the events of an answer as they are made."""

SEAL_REASONING = "reasoning.encrypted_content"
SEARCH_SOURCES = "web_search_call.action.sources"


@dataclass(frozen=True, slots=True)
class Runtime:
    """What exchanges need of the world around them."""

    settings: Settings
    router: Router
    sessions: Sessions
    state: State
    jobs: "Jobs"
    lists: UpstreamLists
    http: HttpClient
    new_id: Callable[[str], str]
    clock: Callable[[], float]
    watch: Watch | None = None
    searches: bool = False
    """Whether the gateway can search the web for models."""


class Exchange:
    """Made by `open`. `feed` takes the upstream's bytes and returns the client's; `close` and `fail` end it."""

    def __init__(
        self,
        request: ResponsesRequest,
        route: Route,
        chat_body: JsonObject,
        machine: AnswerStateMachine,
        session: Session | None,
        recorder: Recorder,
        translate: Callable[[Route, Sequence[Item]], Translation],
        search: SearchSettings | None,
        watch: Watch | None,
        for_codex: bool,
    ) -> None:
        self.request = request
        self.route = route
        self.ledger = recorder.ledger
        self.session = session
        self.chat_body = chat_body
        self._machine = machine
        self._recorder = recorder
        self.observer = Observer(clock=float)
        self._translate = translate
        self._redactor = Redactor()
        self._redactor.conceal(route.secrets)
        self._watch = watch
        self.for_codex = for_codex
        """Whether the client is Codex."""
        self.search = search
        """What the client's web_search asks for; None when it declares none that can be served."""
        self._shown: Sequence[Item] = ()
        self._untold = b""
        self._end_of_stream = b""
        """The terminal event of a streamed answer, while the response is on its way to the store."""
        self.response: JsonObject | None = None
        """The response, when what was found was all that it waited for."""
        self._started = False
        self._reader: AnswerReader | None = None
        self._closed = False
        self._forgives_empty = True
        self._forgives_draft = True
        self._forgives_call = True
        self.fault: GatewayError | None = None
        """Why the current round gave nothing although nothing of it was shown: another round may do better."""

    @classmethod
    def open(
        cls,
        request: ResponsesRequest,
        headers: Headers,
        runtime: Runtime,
        recorder: Recorder,
        response_id: str | None = None,
    ) -> Self:
        """Translate a request, whose input has its whole history. `recorder` gets what becomes of it.

        `response_id` is that of a response which was announced before. Raises GatewayError with what the client is to
        be told.
        """
        _refuse_unserved(request)
        route = runtime.router.of(recorder.owner).resolve(request.model)
        compacts = asks_for_compaction(request)
        thread = session_id(request, headers)
        session = runtime.sessions.get(recorder.owner, thread) if thread else None
        searches = runtime.searches and (request.n or 1) == 1
        translate = partial(chat_request, whole_request(request, runtime.state, recorder), recorder, session, searches)
        translation = translate(route, ())
        if request.model is None:
            request = request.model_copy(update={"model": route.model})
        codex = _is_codex(headers)
        machine = AnswerStateMachine(
            Snapshot(request, response_id or runtime.new_id("resp"), int(runtime.clock())),
            translation.tools,
            recorder.ledger,
            replace(
                _stream_options(request, route, codex, runtime.settings, recorder),
                schema=translation.schema,
                uncallable=_uncallable(request, translation.body),
            ),
            new_id=runtime.new_id,
            clock=runtime.clock,
            output=CompactionOutput(runtime.new_id, recorder.envelopes(COMPACTION)) if compacts else None,
        )
        search = translation.tools.search
        return cls(
            request, route, translation.body, machine, session, recorder, translate, search, runtime.watch, codex
        )

    def observe(self, observer: Observer) -> None:
        """From here on, `observer` is told everything that passes."""
        self.observer = observer
        observer.translated(self.request.model, self.route, self.session, self.chat_body, self.ledger)

    @property
    def owner(self) -> str:
        """Whose what is remembered of the exchange is."""
        return self._recorder.owner

    # The request ------------------------------------------------------------------------------------------------------

    @property
    def streams(self) -> bool:
        """Whether the client wants events."""
        return bool(self.request.stream)

    @property
    def url(self) -> str:
        return f"{self.route.base_url}/chat/completions"

    def upstream_headers(self, client_headers: Headers) -> dict[str, str]:
        """The headers of the upstream request: our own, the profile's, and the key."""
        accept = "text/event-stream" if self.chat_body.get("stream") else "application/json"
        headers = request_headers(self.route, client_headers, self.session.id if self.session else None, accept)
        self._redactor.conceal_headers(headers)
        return headers

    def reroute(self, route: Route) -> None:
        """Translate the request afresh for another upstream or model."""
        self.route = route
        self._redactor.conceal(route.secrets)
        self.chat_body = self._translate(route, self._shown).body

    def correct(self, fault: NonCompliantAnswer | ForbiddenCall) -> None:
        """Ask the model to correct its answer, in the next round."""
        if isinstance(fault, ForbiddenCall):
            self.chat_body = without_tools(self.chat_body, self.route.profile.tools)
            self.ledger.add("repaired", "output.tool_calls", f"asked again without any tools: {fault.message}")
            return
        self.chat_body = {**self.chat_body, "messages": [*self.chat_body["messages"], *fault.correction()]}
        self.ledger.add("repaired", "output.text", f"asked again, because it does not match: {fault.problem}")

    def next_round(self) -> None:
        """The request goes out again; what the last round showed stays."""
        self._machine.next_round()
        self._reader = None
        self._closed = False
        self.fault = None

    # What the gateway finds itself ------------------------------------------------------------------------------------

    @property
    def hosted_call(self) -> SearchCall | None:
        """The call of the model that the gateway carries out before the answer can go on."""
        return None if self.ended else self._machine.hosted_call

    @property
    def wants_round(self) -> bool:
        """Whether the model is to be asked again, with what was found."""
        return self._machine.wants_round and not self.ended

    def add_search_result(self, result: SearchCallResult) -> None:
        """The hosted call has ended."""
        self._untold += self._safely(self._add_search_result(result))

    def _add_search_result(self, result: SearchCallResult) -> Iterator[list[Event]]:
        events = self._machine.add_search_result(result)
        self.response = final_response(events)
        yield events

    def told(self) -> bytes:
        """What the client has not got yet of these calls, and of the end of the answer."""
        untold, self._untold = self._untold, b""
        if not self._recorder.is_storing:
            untold += self._end_of_stream
            self._end_of_stream = b""
        return untold

    def go_on(self) -> None:
        """Prepare the round behind what was found: the same request, and all that was answered so far."""
        self._shown = items_of(self._machine.items)
        self.chat_body = self._translate(self.route, self._shown).body
        self.next_round()

    # The answer -------------------------------------------------------------------------------------------------------

    @property
    def has_shown(self) -> bool:
        """Whether the client has seen anything of the answer."""
        return self._machine.has_shown

    @property
    def settled(self) -> bool:
        """Whether the upstream has said how its answer ends; token counts may still follow."""
        return self._machine.finished or (self._reader is not None and self._reader.done)

    @property
    def flows(self) -> bool:
        """Whether nothing has come yet that ends the answer or its round."""
        return not (self.settled or self.ended or self.fault)

    @property
    def content(self) -> int:
        """Grows with what the upstream says of its answer, whether the client sees it now, later or never."""
        return self._machine.content + (self._reader.pieces if self._reader is not None else 0)

    @property
    def keep_alives(self) -> int:
        """Grows with the comments and blank lines of the upstream's stream."""
        return self._reader.keep_alives if self._reader is not None else 0

    @property
    def ended(self) -> bool:
        """Whether the client has got, or is about to get, its terminal event."""
        return self._machine.terminal is not None

    @property
    def is_storing(self) -> bool:
        """Whether the end of the answer waits until the response is stored."""
        return bool(self._end_of_stream)

    async def stored(self) -> None:
        """Return when the response is durable, or cannot be stored; `told` then holds the end of the answer."""
        await self._recorder.stored()

    def end_unstored(self) -> bytes:
        """The end of the answer, without waiting for the store any longer."""
        self._recorder.let_go()
        return self.told()

    @property
    def status(self) -> str:
        """The response's status so far."""
        return self._machine.terminal or "in_progress"

    @property
    def usage(self) -> JsonObject | None:
        return self._machine.usage

    def begin(self, headers: Headers) -> None:
        """The upstream answers with status 200; what follows goes to `feed` and `close`."""
        self.observer.round_answered(200, headers)
        self._reader = AnswerReader(headers.get("content-encoding", ""), self.ledger)

    def feed(self, data: bytes) -> bytes:
        """Take upstream bytes of a streamed answer; returns those for the client."""
        self.observer.received(data)
        return self._safely(self._read(data))

    def close(self) -> bytes:
        """The upstream's answer has ended; returns the end of the client's stream."""
        return self._safely(self._end())

    def heartbeat(self) -> bytes:
        """Something that keeps the client's connection and its patience alive."""
        return self._safely(self._beat())

    def fail(self, error: GatewayError) -> bytes:
        """End the client's stream with `error`; b"" when it has ended already."""
        return self._safely(self._fail(error))

    def cut(self, error: GatewayError) -> bytes:
        """The upstream broke off: `error` ends the client's stream, unless all that matters had come before."""
        end = self.close() if self.settled else b""
        return end + self.fail(self.fault or error)

    def last_words(self, error: GatewayError) -> bytes:
        """The end of a stream that lost the one it had."""
        return sse.encode(self._machine.last_words(error)[-1]) + sse.DONE

    def answer(self, status: int, headers: Headers, body: bytes) -> JsonObject | None:
        """The response for a client that does not stream; None while a hosted call has to run first.

        Raises GatewayError with what the client is to be told.
        """
        if status != 200:
            raise self.refusal(status, headers, body)
        self._observe_answer(status, headers, body)
        try:
            events = [event for made in self._whole(body) for event in made]
            self._show(events, sse.encode_all(events))
            response = final_response(events)
        except GatewayError as error:
            raise self._discreet(error) from None
        except Exception:
            logger.exception("the translation of an answer failed")
            raise _our_fault() from None
        if self.fault is not None:
            raise self.fault
        if self.hosted_call is not None:
            return None
        if response is None or response["status"] == "failed":
            fault = response["error"] if response else {}
            message = self._redactor.clean_text(str(fault.get("message")))
            raise GatewayError(message, status=502, code=fault.get("code"), type="server_error")
        return response

    def _whole(self, body: bytes) -> Iterator[list[Event]]:
        """A whole answer; some servers stream it although nobody asked them to."""
        yield self._opening()
        self._reader = reader = AnswerReader("", self.ledger)
        try:
            chunks = [*reader.feed(body), *reader.finish()]
        except sse.FrameTooLong:
            chunks = []
        for chunk in chunks or [completion_in(body)]:
            yield self._take(chunk)
            if self.fault is not None:
                return
        yield self._finish(reader.done)

    def refusal(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """What the client is told when the upstream refused the request."""
        self._observe_answer(status, headers, body)
        route = self.route
        error = upstream_error(
            status,
            headers,
            body,
            upstream=route.profile.name,
            credential=route.credential,
            codex=self.for_codex,
        )
        return self._discreet(error)

    def _discreet(self, error: GatewayError) -> GatewayError:
        """Some upstreams repeat the key that they refuse."""
        error.message = self._redactor.clean_text(error.message)
        return error

    def _observe_answer(self, status: int, headers: Headers, body: bytes) -> None:
        self.observer.round_answered(status, headers)
        self.observer.received(body)

    def _beat(self) -> Iterator[list[Event]]:
        yield self._opening()
        yield self._machine.heartbeat()

    def _fail(self, error: GatewayError) -> Iterator[list[Event]]:
        yield self._opening()
        yield self._machine.fail(error)

    def _read(self, data: bytes) -> Iterator[list[Event]]:
        yield self._opening()
        reader = self._reader
        if reader is None or self._closed or self.ended or self.fault is not None:
            return
        for chunk in reader.feed(data):
            yield self._take(chunk)
            if self.fault is not None:
                return
        if reader.done and self._machine.usage is not None:
            yield self._finish(done=True)

    def _take(self, chunk: Any) -> list[Event]:
        """One JSON value of the upstream's answer."""
        return self._read_value(chunk) + self._forbid_call()

    def _forbid_call(self) -> list[Event]:
        """A call that the client would not take is a fault at first, and then the end."""
        error = self._machine.forbidden_call
        if error is None or self.ended:
            return []
        if not self._forgives_call:
            return self._machine.fail(error)
        self._forgives_call = False
        self.fault = error
        return []

    def _read_value(self, chunk: Any) -> list[Event]:
        if error := error_in(chunk):
            return self._fault_of(error)
        if isinstance(chunk, dict):
            return self._machine.chunk(chunk)
        self.ledger.add("dropped", "output", "a line of the upstream's stream that is no JSON object")
        return []

    def _end(self) -> Iterator[list[Event]]:
        yield self._opening()
        reader = self._reader
        if reader is None or self._closed or self.ended or self.fault is not None:
            return
        self._closed = True
        try:
            for chunk in reader.finish():
                yield self._take(chunk)
        except GatewayError as error:
            yield self._fault_of(error)
        if not self.ended and self.fault is None:
            yield self._finish(reader.done)

    def _fault_of(self, error: GatewayError) -> list[Event]:
        """An error that the upstream reports with status 200: the end, unless the client knows nothing of it yet."""
        self._discreet(error)
        if self._machine.has_shown and self.streams:
            return self._machine.fail(error)
        self.fault = error
        return []

    def _finish(self, done: bool) -> list[Event]:
        """End the answer; one that is empty for no reason, or not what it should be, is a fault at first."""
        self._machine.end_text()
        events = self._forbid_call()
        if self.fault is not None or events:
            return events
        if self._forgives_empty and self._machine.empty:
            self._forgives_empty = False
            self.fault = EmptyAnswer()
            return []
        if self._forgives_draft and (fault := self._machine.draft_fault()) is not None:
            self._forgives_draft = False
            self.fault = fault
            return []
        if self._machine.usage is None:
            self._machine.prompt_tokens = estimated_tokens(self.chat_body)
        return self._machine.finish(done)

    def _opening(self) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return self._machine.start()

    def _show(self, events: list[Event], stream: bytes) -> None:
        self._recorder.take(events, stream)
        if self._watch is not None:
            self._watch(self.request, events)

    def _safely(self, steps: Iterator[list[Event]]) -> bytes:
        """Encode what `steps` make; a fault of any kind in them ends the stream instead of the connection."""
        if self.ended:
            return b""
        events: list[Event] = []
        try:
            for made in steps:
                events += made
        except (sse.FrameTooLong, *encoding.ERRORS) as error:
            message = f"The upstream's answer cannot be read: {error}."
            events += self._machine.fail(GatewayError(message, 502, "server_error", type="server_error"))
        except Exception:
            logger.exception("the translation of an answer failed")
            events += self._machine.give_up(_our_fault())
        if not self.ended:
            encoded = sse.encode_all(events)
            self._show(events, encoded)
            self.observer.sent(encoded, events)
            return encoded
        encoded, end = sse.encode_all(events[:-1]), sse.encode(events[-1])
        self._show(events, encoded + end)
        end += sse.DONE
        self.observer.sent(encoded + end, events)
        if not self._recorder.is_storing:
            return encoded + end
        self._end_of_stream = end
        return encoded


def _stream_options(
    request: ResponsesRequest, route: Route, codex: bool, settings: Settings, recorder: Recorder
) -> StreamOptions:
    return StreamOptions(
        reasoning=settings.reasoning,
        seal_reasoning=SEAL_REASONING in (request.include or ()),
        envelopes=recorder.envelopes(route.provider, route.model),
        queued=bool(request.background),
        incomplete_completes=settings.terminal == "completed" or (settings.terminal == "auto" and codex),
        heal_markup=route.profile.heal_markup,
        for_codex=codex,
        search_sources=SEARCH_SOURCES in (request.include or ()),
        reasoning_snapshots=route.profile.answers.reasoning_deltas == "snapshots",
        tolerate_eof=route.profile.answers.end == "unmarked",
    )


def _uncallable(request: ResponsesRequest, chat_body: JsonObject) -> frozenset[str] | None:
    if asks_for_compaction(request) or forbids_calls(request):
        return frozenset(tool["function"]["name"] for tool in chat_body.get("tools", ()))
    return None


def _is_codex(headers: Headers) -> bool:
    """Whether the client is Codex, by the headers that all of its programs send.

    Editors give their own name to the Codex that they run; its other headers tell.
    """
    named = (headers.get("originator", ""), headers.get("user-agent", ""))
    return any(name.lower().startswith("codex") for name in named) or any(
        name.startswith("x-codex-") for name in headers
    )


def _refuse_unserved(request: ResponsesRequest) -> None:
    """What would change the meaning of the request if it were ignored."""
    if request.prompt:
        raise GatewayError("'prompt' is not supported by this gateway.", code="unsupported_parameter", param="prompt")


def _our_fault() -> GatewayError:
    return GatewayError(
        "The gateway failed to translate the answer; its log has the details.",
        status=500,
        code="server_error",
        type="server_error",
    )
