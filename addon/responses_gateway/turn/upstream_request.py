"""The chat request that an exchange sends to its upstream, translated again for each route and each further round."""

from collections.abc import Mapping, Sequence

from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import Item, ResponsesRequest
from responses_gateway.security.redaction import Redactor
from responses_gateway.state.recorder import Recorder
from responses_gateway.state.thoughts import ThoughtCache
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer
from responses_gateway.translate.request.chat_request import Translation, translate_request
from responses_gateway.translate.request.compaction import asks_for_compaction, summary_request
from responses_gateway.translate.request.truncation import fit
from responses_gateway.translate.tools.hosted import HostedTool
from responses_gateway.translate.tools.offered_tools import ForbiddenCall, without_tools
from responses_gateway.turn.sessions import Session
from responses_gateway.upstream.routing import Route
from responses_gateway.upstream.upstreams import request_headers

COMPACTION = "compaction"
"""The purpose of seals for compaction items: any model that the session goes on with can open them."""

_STREAM_FIELDS = ("stream", "stream_options")


class UpstreamRequest:
    """The chat request of the next round, and where it goes."""

    def __init__(
        self,
        request: ResponsesRequest,
        route: Route,
        recorder: Recorder,
        session: Session | None,
        *,
        hosted: Sequence[HostedTool] = (),
        begun: Sequence[Item] = (),
    ) -> None:
        """Translate `request`, whose input has its whole history. `hosted`: what the gateway carries out itself;
        `begun`: the items of the answer that are complete already.

        Raises GatewayError for what cannot be translated.
        """
        self._request = request
        self._recorder = recorder
        self._session = session
        self._hosted = hosted
        self._begun = begun
        self._answered: Sequence[Item] = ()
        """What the earlier rounds of hosted calls have answered."""

        self.redactor = Redactor()
        """Knows the secrets that upstreams are sent."""

        self.route = route
        self.redactor.conceal(route.secrets)
        translation = self._translate(route)
        self.body = translation.body
        self.tools = translation.tools
        self.schema = translation.schema
        self.enforced_schema = translation.enforced_schema

    @property
    def url(self) -> str:
        return f"{self.route.base_url}/chat/completions"

    def headers(self, client_headers: Mapping[str, str]) -> dict[str, str]:
        """The gateway's own headers, those of the provider's profile, and the key. `client_headers` have lower-case
        names."""
        accept = "text/event-stream" if self.body.get("stream") else "application/json"
        headers = request_headers(self.route, client_headers, self._session.id if self._session else None, accept)
        self.redactor.conceal_headers(headers)
        return headers

    def reroute(self, route: Route) -> None:
        """Translate again, for another upstream or model. Raises GatewayError, and changes nothing then."""
        self.body = self._translate(route).body
        self.route = route
        self.redactor.conceal(route.secrets)

    def correct(self, fault: NonCompliantAnswer | ForbiddenCall) -> None:
        """Ask the model to correct its last answer."""
        ledger = self._recorder.ledger
        if isinstance(fault, ForbiddenCall):
            self.body = without_tools(self.body, self.route.profile.tools)
            ledger.add("repaired", "output.tool_calls", f"asked again without any tools: {fault.message}")
            return
        self.body = {**self.body, "messages": [*self.body["messages"], *fault.correction()]}
        ledger.add("repaired", "output.text", f"asked again, because it does not match: {fault.problem}")

    def ask_whole(self) -> bool:
        """Ask for an answer without a stream from here on; whether that is new."""
        if not self.body.get("stream"):
            return False
        self.body = {key: value for key, value in self.body.items() if key not in _STREAM_FIELDS}
        self._recorder.ledger.add("repaired", "stream", "asked again without: the upstream's stream was an empty body")
        return True

    def continue_after(self, answered: Sequence[Item]) -> None:
        """Ask the model to go on after `answered`: all items of the answer so far, results of hosted calls included."""
        self._answered = answered
        self.body = self._translate(self.route).body

    def _translate(self, route: Route) -> Translation:
        request, ledger = self._request, self._recorder.ledger
        if self._answered:
            # The Ledger has what the request itself loses since the first round.
            ledger = Ledger()
            input_items = [*request.input, *self._answered]
            choice = _later_choice(request.tool_choice)
            request = request.model_copy(update={"input": input_items, "tool_choice": choice})
        elif self._begun:
            request = request.model_copy(update={"input": [*request.input, *self._begun]})
        translation = translate_request(
            fit(request, route.card, ledger),
            model=route.model,
            profile=route.profile,
            card=route.card,
            ledger=ledger,
            earlier_tools=self._session.tools if self._session else (),
            earlier_note=self._session.format_note if self._session else None,
            envelopes=self._recorder.envelopes(route.provider, route.model),
            compaction_envelopes=self._recorder.envelopes(COMPACTION),
            hosted=self._hosted,
        )
        if route.profile.strict:
            ledger.refuse_losses()
        if self._session and "tools" in translation.body:
            self._session.tools = translation.body["tools"]
        if self._session:
            self._session.format_note = translation.format_note
        return translation


def completed_request(request: ResponsesRequest, thoughts: ThoughtCache, recorder: Recorder) -> ResponsesRequest:
    """`request` with the reasoning that the client left out and, for a compaction, with the question for a summary."""
    items, restored = thoughts.restore(recorder.owner, request.input)
    if restored:
        recorder.ledger.add("added", "input.reasoning", "what the client left out before its tool calls")
        request = request.model_copy(update={"input": items})
    return summary_request(request) if asks_for_compaction(request) else request


def _later_choice(choice: str | JsonObject | None) -> str | JsonObject | None:
    """The tool choice of later rounds: one that forces a call would force another call in every round."""
    if isinstance(choice, dict):
        if choice.get("type") != "allowed_tools":
            return "auto"
        inner = choice.get("allowed_tools")
        nested = {"allowed_tools": {**inner, "mode": "auto"}} if isinstance(inner, dict) else {}
        return {**choice, "mode": "auto", **nested}
    return "auto" if choice == "required" else choice
