"""A call of the Responses API for a target that speaks this API itself: the client's bytes, and where they go."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.protocol.json_fields import with_fields
from responses_gateway.protocol.responses import ResponsesRequest, parse_request
from responses_gateway.security.redaction import Redactor
from responses_gateway.state.continued_conversation import ContinuedConversation
from responses_gateway.translate.answer.snapshot import Snapshot
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.observers import TurnObserver, Unobserved
from responses_gateway.turn.runtime import Runtime
from responses_gateway.upstream.routing import Route
from responses_gateway.upstream.upstreams import native_headers

type Translate = Callable[[Route, Ledger], Awaitable[Exchange]]
"""Opens an exchange for the same call, to ask the route by chat/completions. Raises GatewayError."""


class NativeRequest:
    """What is sent in the next round. `body` is what `content` says."""

    def __init__(
        self,
        path: str,
        content: bytes,
        body: JsonObject,
        route: Route,
        runtime: Runtime,
        owner: str,
        session: str | None,
        ledger: Ledger,
        translate: Translate | None,
        conversation: ContinuedConversation | None = None,
    ) -> None:
        """`path` is that behind the base URL, with its query. `translate` None: nothing but this API can serve it.

        `conversation` is kept here, and gets the turn.
        """
        self.body = body
        self.route = route
        self.runtime = runtime
        self.owner = owner
        self.session = session
        """The id of the client's thread."""

        self.translate = translate
        self.conversation = conversation
        self.ledger = ledger
        self.redactor = Redactor()
        self.redactor.conceal(route.secrets)
        self.observer: TurnObserver = Unobserved()
        self._path = path
        self._content = content

    def observe(self, observer: TurnObserver) -> None:
        """Tell `observer` everything that passes from here on."""
        self.observer = observer
        observer.translated(self.model, self.route, self.owner, self.session, self.body, self.ledger)

    @property
    def model(self) -> str | None:
        """The model that the client asked for."""
        return self.body.get("model")

    @property
    def streams(self) -> bool:
        """Whether the client wants events."""
        return self.body.get("stream") is True

    @property
    def url(self) -> str:
        return f"{self.route.base_url}{self._path}"

    @property
    def content(self) -> bytes:
        """The client's own bytes, with the model's name there."""
        return named(self._content, self.body, self.route.model)

    def headers(self, client_headers: Mapping[str, str]) -> dict[str, str]:
        """`client_headers` have lower-case names."""
        accept = "text/event-stream" if self.streams else "application/json"
        headers = native_headers(self.route, client_headers, self.session, accept)
        self.redactor.conceal_headers(headers)
        return headers

    def reroute(self, route: Route) -> None:
        """From now on, the request goes elsewhere."""
        self.route = route
        self.redactor.conceal(route.secrets)

    def new_response(self) -> JsonObject:
        """The response for an answer that failed before the upstream told of one."""
        new_id, created = self.runtime.new_id("resp"), int(self.runtime.clock())
        return Snapshot(self._request, new_id, created).render("in_progress")

    @cached_property
    def _request(self) -> ResponsesRequest:
        """What is known here of the request."""
        try:
            return parse_request(self._content)
        except GatewayError:
            # The upstream may know what is not known here.
            return parse_request(dumps({"model": self.model, "input": []}))

    def watch(self, events: Sequence[JsonObject]) -> None:
        """Show events of the answer to whoever watches all answers."""
        typed = [event for event in events if isinstance(event.get("type"), str)]
        if self.runtime.watch is not None and typed:
            self.runtime.watch(self._request, typed)

    def made(self, response: JsonObject) -> None:
        """The upstream has told of the response that it makes."""
        response_id = response.get("id")
        if isinstance(response_id, str):
            is_kept = self.body.get("store") is not False and response.get("store") is not False
            ids = self.runtime.state.native_ids
            ids.remember(self.owner, response_id, self.route.provider, lasting=is_kept)

    def ended(self, response: JsonObject, done: Sequence[JsonObject]) -> None:
        """The upstream has told its answer to the end. `done` are the items that it told of; they are in the response
        as well, unless the upstream leaves them out there."""
        if self.conversation is not None:
            output = response.get("output")
            items = output if isinstance(output, list) and output else done
            self.conversation.add(response, [item for item in items if isinstance(item, dict)], self.ledger)

    async def stored(self) -> None:
        """Return when the conversation has the turn, or cannot get it."""
        if self.conversation is not None:
            await self.conversation.stored(self.ledger)


def named(content: bytes, body: JsonObject, model: str) -> bytes:
    """`content`, which says `body`, for the model of that name; every other byte stays as it is."""
    if body.get("model") == model:
        return content
    try:
        return with_fields(content, {"model": model})
    except UnicodeDecodeError:
        return dumps({**body, "model": model})
