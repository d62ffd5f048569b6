"""One Responses call: the translation of its request, and of the upstream's answer as it arrives.

An exchange knows HTTP's words (status, headers, bytes) but nothing of mitmproxy. No method that takes upstream bytes
ever raises: whatever happens becomes the end of the client's stream.
"""

from collections.abc import Iterator, Mapping, Sequence

from responses_gateway.hosted.calls import Calls
from responses_gateway.protocol import encoding, sse
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import ResponsesRequest, items_of
from responses_gateway.security.terminal import get_logger
from responses_gateway.state.recorder import Recorder
from responses_gateway.translate.answer.items import Event
from responses_gateway.translate.answer.state_machine import AnswerStateMachine
from responses_gateway.translate.answer.whole_answer import final_response
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer
from responses_gateway.translate.repair.upstream_errors import upstream_error
from responses_gateway.translate.tools.hosted import HostedCall, HostedResult
from responses_gateway.translate.tools.offered_tools import ForbiddenCall
from responses_gateway.turn.answer_rounds import AnswerRounds
from responses_gateway.turn.client_stream import ClientStream, encode_end
from responses_gateway.turn.observers import TurnObserver
from responses_gateway.turn.runtime import Watch
from responses_gateway.turn.sessions import Session
from responses_gateway.turn.upstream_request import UpstreamRequest
from responses_gateway.upstream.spoken_apis import NO_SUCH_PATH

logger = get_logger(__name__)


class Exchange:
    """Made by `open_exchange`. `feed` takes upstream bytes and returns the client's; `close` and `fail` end it."""

    def __init__(
        self,
        request: ResponsesRequest,
        upstream_request: UpstreamRequest,
        machine: AnswerStateMachine,
        session: Session | None,
        recorder: Recorder,
        watch: Watch | None,
        hosted: Calls,
        *,
        for_codex: bool,
    ) -> None:
        self.request = request
        self.upstream_request = upstream_request
        self.session = session
        self.owner = recorder.owner
        """Whose the session, the stored response and the learned repairs are."""

        self.ledger = recorder.ledger
        self.for_codex = for_codex
        """Whether the client is Codex."""

        self.hosted = hosted
        """Carries out the calls of hosted tools."""

        self._rounds = AnswerRounds(machine, upstream_request, recorder.ledger, streams=self.streams)
        self._client = ClientStream(request, recorder, watch)

    def observe(self, observer: TurnObserver) -> None:
        """Tell `observer` everything that passes from here on."""
        self._client.observer = observer
        session = self.session.id if self.session is not None else None
        upstream = self.upstream_request
        observer.translated(self.request.model, upstream.route, self.owner, session, upstream.body, self.ledger)

    def go_on_for(self, observer: TurnObserver) -> None:
        """Tell `observer`, who knows the request already, what passes from here on."""
        self._client.observer = observer

    @property
    def observer(self) -> TurnObserver:
        return self._client.observer

    @property
    def streams(self) -> bool:
        """Whether the client wants events."""
        return bool(self.request.stream)

    # Further rounds ---------------------------------------------------------------------------------------------------

    def correct(self, fault: NonCompliantAnswer | ForbiddenCall) -> None:
        """Ask the model to correct its answer, in the next round."""
        self.upstream_request.correct(fault)

    def ask_whole(self) -> bool:
        """Do without a stream, of which nothing came: as a whole, the answer may say why. Whether that is new."""
        return self._rounds.mute and self.upstream_request.ask_whole()

    def distrust(self) -> None:
        """Hold the answer back until it is known to match: the upstream has ignored a schema before."""
        self._rounds.distrust()

    def next_round(self) -> None:
        """The request goes out again; what the last round showed stays."""
        self._rounds.next_round()

    @property
    def hosted_calls(self) -> Sequence[HostedCall]:
        """The calls of the model that the gateway carries out before the answer can go on."""
        return self._rounds.hosted_calls

    @property
    def wants_round(self) -> bool:
        """Whether the model is to be asked again, with the results of its hosted calls."""
        return self._rounds.wants_round

    @property
    def completed_response(self) -> JsonObject | None:
        """The response, if the result of a hosted call completed it."""
        return self._rounds.response

    def add_hosted_result(self, call: HostedCall, result: HostedResult) -> None:
        """A hosted call has ended."""
        self._client.put_aside(self._safely(self._rounds.add_hosted_result(call, result)))

    def continue_answer(self) -> None:
        """Prepare the round after hosted calls: the same request, and everything that was answered so far."""
        self.upstream_request.continue_after(items_of(self._rounds.items))
        self.next_round()

    def take_waiting(self) -> bytes:
        """What the client has not got yet of hosted calls, and of the end of the answer."""
        if shown := self._rounds.take_shown():
            self._client.put_aside(self._client.encode(shown, ended=False))
        return self._client.take_waiting()

    # How far the answer is --------------------------------------------------------------------------------------------

    @property
    def fault(self) -> GatewayError | None:
        """Why the current round gave nothing although the client saw nothing of it: another round may do better."""
        return self._rounds.fault

    @property
    def ignores_schema(self) -> bool:
        """Whether the answer, already shown, breaks the schema that the upstream was to enforce."""
        return self._rounds.ignores_schema

    @property
    def has_shown(self) -> bool:
        """Whether the client has seen anything of the answer."""
        return self._rounds.has_shown

    @property
    def has_begun(self) -> bool:
        """Whether the client has seen the beginning of the response, be it by a heartbeat."""
        return self.streams and self._rounds.has_begun

    @property
    def settled(self) -> bool:
        """Whether the upstream has said how its answer ends; token counts may still follow."""
        return self._rounds.settled

    @property
    def flows(self) -> bool:
        """Whether nothing has come yet that ends the answer or its round."""
        return not (self.settled or self.ended or self.fault)

    @property
    def content(self) -> int:
        """Grows with each piece of the answer, whether the client sees it now, later or never."""
        return self._rounds.content

    @property
    def keep_alives(self) -> int:
        """Grows with the comments and blank lines of the upstream's stream."""
        return self._rounds.keep_alives

    @property
    def ended(self) -> bool:
        """Whether the client has got, or is about to get, its terminal event."""
        return self._rounds.ended

    @property
    def status(self) -> str:
        """The response's status so far."""
        return self._rounds.status

    @property
    def usage(self) -> JsonObject | None:
        return self._rounds.usage

    @property
    def is_storing(self) -> bool:
        """Whether the end of the answer waits until the response is stored."""
        return self._client.is_storing

    async def stored(self) -> None:
        """Return when the response is durable, or cannot be stored; `take_waiting` then gives the end of the answer."""
        await self._client.stored()

    # A streamed answer ------------------------------------------------------------------------------------------------

    def begin(self, headers: Mapping[str, str]) -> None:
        """The upstream answers with status 200; `feed` and `close` take the rest. `headers` have lower-case names.

        Raises ValueError for a content-encoding that is not known.
        """
        self.observer.round_answered(200, headers)
        self._rounds.begin(headers.get("content-encoding", ""))

    def feed(self, data: bytes) -> bytes:
        """Take upstream bytes of a streamed answer; returns those for the client."""
        self.observer.received(data)
        return self._safely(self._rounds.feed(data))

    def close(self) -> bytes:
        """The upstream's answer has ended; returns the end of the client's stream."""
        return self._safely(self._rounds.close())

    def heartbeat(self) -> bytes:
        """Something that keeps the client's connection alive, and the client patient."""
        return self._safely(self._rounds.heartbeat())

    def fail(self, error: GatewayError) -> bytes:
        """End the client's stream with `error`; b"" when it has ended already."""
        return self._safely(self._rounds.fail(error))

    def cut(self, error: GatewayError) -> bytes:
        """The upstream broke off: `error` ends the client's stream, unless all that matters had come before."""
        end = self.close() if self.settled else b""
        return end + self.fail(self.fault or error)

    def end_unstored(self) -> bytes:
        """The end of the answer, without waiting for the store any longer."""
        return self._client.end_unstored()

    def last_words(self, error: GatewayError) -> bytes:
        """The end of a stream that has lost the one it had."""
        return encode_end(self._rounds.last_words(error))

    def _safely(self, steps: Iterator[list[Event]]) -> bytes:
        """Encode the events that `steps` make; an exception in them ends the response instead of the connection."""
        if self.ended:
            return b""
        events: list[Event] = []
        try:
            for made in steps:
                events += made
        except (sse.FrameTooLong, *encoding.ERRORS) as error:
            message = f"The upstream's answer cannot be read: {error}."
            events += self._rounds.fail_at_once(GatewayError(message, 502, "server_error", type="server_error"))
        except Exception:
            logger.exception("the translation of an answer failed")
            events += self._rounds.give_up(_translation_failed())
        return self._client.encode(events, ended=self.ended)

    # A whole answer ---------------------------------------------------------------------------------------------------

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> JsonObject | None:
        """The response for a client that does not stream; None while a hosted call has to run first.

        Raises GatewayError with what the client is to be told.
        """
        if status != 200:
            raise self.refusal(status, headers, body)
        self._observe_answer(status, headers, body)
        try:
            events = [event for made in self._rounds.read_whole(body) for event in made]
            self._client.record(events)
            response = final_response(events)
        except GatewayError as error:
            raise self._without_secrets(error) from None
        except Exception:
            logger.exception("the translation of an answer failed")
            raise _translation_failed() from None
        if self.fault is not None:
            raise self.fault
        if self.hosted_calls:
            return None
        if response is None or response["status"] == "failed":
            fault = response["error"] if response else {}
            message = self.upstream_request.redactor.clean_text(str(fault.get("message")))
            raise GatewayError(message, status=502, code=fault.get("code"), type="server_error")
        return response

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
        """What the client is told when the upstream refused the request."""
        self._observe_answer(status, headers, body)
        route = self.upstream_request.route
        error = upstream_error(
            status,
            headers,
            body,
            upstream=route.profile.name,
            credential=route.credential,
            codex=self.for_codex,
        )
        if status in NO_SUCH_PATH and error.code != "model_not_found" and route.api != route.profile.api:
            error.message += (
                " The model was asked by chat/completions because tools are denied (deny_tools), which cannot be done "
                f"by the Responses API (api: {route.profile.api})."
            )
        return self._without_secrets(error)

    def _without_secrets(self, error: GatewayError) -> GatewayError:
        """Some upstreams repeat the key that they refuse."""
        error.message = self.upstream_request.redactor.clean_text(error.message)
        return error

    def _observe_answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.observer.round_answered(status, headers)
        self.observer.received(body)


def _translation_failed() -> GatewayError:
    return GatewayError(
        "The gateway failed to translate the answer; its log has the details.",
        status=500,
        code="server_error",
        type="server_error",
    )
