"""What is asked of an upstream: a request with its whole history, translated for one route and one round."""

from collections.abc import Sequence

from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import Item, ResponsesRequest
from responses_gateway.state.recorder import Recorder
from responses_gateway.state.state import State
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.chat_request import Translation, translate_request
from responses_gateway.translate.request.compaction import asks_for_compaction, summary_request
from responses_gateway.translate.request.truncation import fit
from responses_gateway.turn.sessions import Session
from responses_gateway.upstream.routing import Route

COMPACTION = "compaction"
"""What compaction envelopes are made for: any model that the session goes on with reads them."""


def whole_request(request: ResponsesRequest, state: State, recorder: Recorder) -> ResponsesRequest:
    """The request as it is to be translated: with the reasoning that the client left out, and for a compaction with
    what asks for a summary."""
    items, restored = state.thoughts.restore(recorder.owner, request.input)
    if restored:
        recorder.ledger.add("added", "input.reasoning", "what the client left out before its tool calls")
        request = request.model_copy(update={"input": items})
    return summary_request(request) if asks_for_compaction(request) else request


def chat_request(
    request: ResponsesRequest,
    recorder: Recorder,
    session: Session | None,
    web_search: bool,
    route: Route,
    shown: Sequence[Item],
) -> Translation:
    """The chat request for a route; that of a further round, if some items of the answer have been `shown`."""
    ledger = recorder.ledger
    if shown:
        # What was dropped of the request itself is in the Ledger since the first round.
        ledger = Ledger()
        request = request.model_copy(
            update={"input": [*request.input, *shown], "tool_choice": _later_choice(request.tool_choice)}
        )
    translation = translate_request(
        fit(request, route.card, ledger),
        model=route.model,
        profile=route.profile,
        card=route.card,
        ledger=ledger,
        earlier_tools=session.tools if session else (),
        envelopes=recorder.envelopes(route.provider, route.model),
        compaction_envelopes=recorder.envelopes(COMPACTION),
        web_search=web_search,
    )
    if session and "tools" in translation.body:
        session.tools = translation.body["tools"]
    return translation


def _later_choice(choice: str | JsonObject | None) -> str | JsonObject | None:
    """A choice that forces a call has had its way in the first round; it would go on forever."""
    if isinstance(choice, dict):
        return {**choice, "mode": "auto"} if choice.get("type") == "allowed_tools" else "auto"
    return "auto" if choice == "required" else choice
