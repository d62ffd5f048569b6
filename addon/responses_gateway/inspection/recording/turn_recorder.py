"""Records one turn into a flow's metadata, for the views, while it runs.

The metadata holds nothing but str, bytes, int, float, bool, None, list and dict, so that mitmproxy writes it into saved
flows. Its keys:

- `gateway.request` (bytes): the client's body as received, decoded.
- `gateway.turn` (dict): what is known of the turn; see `TurnRecorder.facts`.
- `gateway.rounds` (list of dict): the upstream requests of the turn, each with `number` (from 1), `url`, `headers`
  (list of [name, value]), `body` (bytes), `began`, `status` (0: no answer yet), `answered`, `answer_headers`, `ended`,
  `error`, `failure` (cause, text and seconds of the layer's `Failure`, or empty), `chunks` (a captured
  stream).
- `gateway.events` (a captured stream): what the client was sent.

All times but `opened` are milliseconds since the turn was opened; -1 stands for "not yet". Captured streams are
described in `stream_capture.CapturedStream`. The bytes are kept only when something can show or save them; the facts
always are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from responses_gateway.inspection.recording import prefix
from responses_gateway.inspection.recording.session_memory import RememberedSession, SessionMemory
from responses_gateway.inspection.recording.stream_capture import StreamCapture
from responses_gateway.inspection.recording.summary import cost
from responses_gateway.inspection.recording.usage import counts
from responses_gateway.protocol.json import JsonObject, loads
from responses_gateway.security.redaction import Redactor
from responses_gateway.security.tool_secrets import without_tool_secrets
from responses_gateway.translate.ledger import Ledger
from responses_gateway.upstream.routing import Route

REQUEST, TURN, ROUNDS, EVENTS = "gateway.request", "gateway.turn", "gateway.rounds", "gateway.events"
KEYS = (REQUEST, TURN, ROUNDS, EVENTS)

_TEXT = "response.output_text.delta"
_DELTAS = frozenset(
    {
        _TEXT,
        "response.refusal.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
    }
)
_ITEM_DONE = "response.output_item.done"
_OUTCOMES = frozenset({_ITEM_DONE, "response.completed", "response.incomplete", "response.failed"})


class TurnRecorder:
    """Records one turn; a `TurnObserver` for its exchange. Never raises because of the content that passes."""

    def __init__(
        self,
        metadata: dict[str, Any] | None = None,
        *,
        clock: Callable[[], float],
        keep: bool = False,
        sessions: SessionMemory | None = None,
        on_round: Callable[[JsonObject, JsonObject, bytes], None] | None = None,
    ) -> None:
        """`keep`: keep bodies and chunks for views. `sessions` remembers the turns before this one. `on_round` is
        called at the end of every upstream request, with the facts, the round and the request's body."""
        self._metadata = {} if metadata is None else metadata
        self._clock = clock
        self._sessions = sessions if sessions is not None else SessionMemory()
        self._opened = clock()
        self.keep = keep
        self.on_change: Callable[[], None] | None = None
        """Called when there is something new to show, once until the next `note`."""
        self._is_noted = True
        self._on_round = on_round
        self._body = b""
        self.redactor = Redactor()
        self._ledger = Ledger()
        self._route: Route | None = None
        self._notable = _OUTCOMES | _DELTAS
        """Types of events that tell something new; those of deltas are all the same after the first."""
        self._uncompared: tuple[RememberedSession, JsonObject] | None = None
        self.events = self._capture()
        self._rounds: list[JsonObject] = []
        self._chunks = self._capture()
        self.facts: JsonObject = {
            "opened": self._opened,
            "method": "",
            "path": "",
            "headers": [],
            "model": "",
            "upstream_model": "",
            "provider": "",
            "detected": "",
            "session": "",
            "number": 0,
            "request_size": 0,
            "chat_size": 0,
            "ledger": [],
            "prefix": {},
            "status": "in_progress",
            "error": "",
            "usage": {},
            "cost": -1.0,
            "calls": 0,
            "first_byte": -1,
            "first_token": -1,
            "first_text": -1,
            "ended": -1,
        }
        """What is known of the turn. `detected` is the shipped profile of the server, when only the server itself said
        which one that is; `number` counts the turns of the session; `ledger` holds [action, field, why,
        count]; `prefix` is a `PrefixReport` as dict, empty for the first turn; `usage` is the Responses object; `cost`
        is in US dollars (-1: not known); `error` is what the client was told."""
        for key in KEYS:
            self._metadata.pop(key, None)
        self._metadata[TURN] = self.facts
        if keep:
            self._metadata[ROUNDS] = self._rounds
            self._metadata[EVENTS] = self.events.data

    # The request ------------------------------------------------------------------------------------------------------

    def requested(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """The client's request, `headers` by lower-case name; returns `body` without secrets."""
        self.redactor.conceal_headers(headers)
        self.facts.update(
            method=method, path=path, headers=self.redactor.headers(headers.items()), request_size=len(body)
        )
        body, secrets = without_tool_secrets(body)
        self.redactor.conceal(secrets)
        cleaned = self.redactor.clean(body)
        if self.keep:
            self._metadata[REQUEST] = cleaned
        return cleaned

    def translated(
        self, model: str | None, route: Route, owner: str, session: str | None, body: JsonObject, ledger: Ledger
    ) -> None:
        """The request for `model` became the chat request `body`; `ledger` goes on being filled. `session` is the id of
        the owner's session."""
        self._ledger = ledger
        self._route = route
        self.facts.update(model=model or route.model, upstream_model=route.model, provider=route.profile.name)
        self.facts["detected"] = route.detected
        if session is None:
            return
        remembered = self._sessions.get(owner, session)
        remembered.turns += 1
        self.facts.update(session=session, number=remembered.turns)
        if self.keep:
            self._uncompared = remembered, body

    def _compare_prefix(self) -> None:
        """Compare the request with the one before it; called when it is on its way, because comparing takes time."""
        if self._uncompared is None:
            return
        (session, body), self._uncompared = self._uncompared, None
        request = prefix.outline(body)
        if session.sent is not None:
            self.facts["prefix"] = asdict(prefix.compare(session.sent, request))
        session.sent = prefix.fingerprint(request)

    # Upstream rounds --------------------------------------------------------------------------------------------------

    def round_began(
        self, url: str, headers: Mapping[str, str], body: bytes, secrets: Sequence[str] = (), hidden: Sequence[str] = ()
    ) -> None:
        """A request is on its way to the upstream, `headers` by lower-case name; those that are `hidden` are not kept,
        and neither are `secrets`, wherever they are."""
        self.redactor.conceal(secrets, hidden)
        self.redactor.conceal_headers(headers)
        self.round_ended("another request followed")
        body = self.redactor.clean(body)
        self._chunks = self._capture()
        self.facts["chat_size"] = len(body)
        self._body = body if self._on_round else b""
        self._rounds.append(
            {
                "number": len(self._rounds) + 1,
                "url": url,
                "headers": self.redactor.headers(headers.items()),
                "body": body if self.keep else b"",
                "began": self._now(),
                "status": 0,
                "answered": -1,
                "answer_headers": [],
                "ended": -1,
                "error": "",
                "failure": [],
                "chunks": self._chunks.data,
            }
        )
        self._changed()

    def round_answered(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of the upstream's answer has come, `headers` by lower-case name."""
        self._compare_prefix()
        if self._rounds:
            answer_headers = self.redactor.headers(headers.items())
            self._rounds[-1].update(status=status, answered=self._now(), answer_headers=answer_headers)
        self._changed()

    def received(self, data: bytes) -> None:
        """Bytes of the upstream's answer."""
        if self.facts["first_byte"] < 0:
            self.facts["first_byte"] = self._now()
        if self.keep:
            self._chunks.add(self._clock(), data)

    def round_ended(self, error: str = "", failure: Sequence[str | float] = ()) -> None:
        """The upstream's answer has ended; `error` says how, when it was not at its own end, and `failure` gives the
        values of the proxy layer's `Failure`."""
        if self._rounds and self._rounds[-1]["ended"] < 0:
            error = self.redactor.clean(error.encode()).decode()
            self._rounds[-1].update(ended=self._now(), error=error, failure=list(failure))
            self._chunks.flush(is_end=True)
            if self._on_round is not None:
                self.note()
                self._on_round(self.facts, self._rounds[-1], self._body)

    # The answer -------------------------------------------------------------------------------------------------------

    def sent(self, data: bytes, events: Sequence[JsonObject] = ()) -> None:
        """Bytes of the client's event stream, and the events that they are."""
        for event in events:
            kind = event.get("type")
            if isinstance(kind, str) and kind in self._notable:
                self._note_event(event)
        if self.keep and data:
            self.events.add(self._clock(), data)
            self._changed()

    def _note_event(self, event: JsonObject) -> None:
        kind: str = event["type"]
        if kind in _DELTAS:
            self._note_delta(kind == _TEXT)
        elif kind == _ITEM_DONE:
            self._note_item(event.get("item"))
        elif isinstance(response := event.get("response"), dict):
            self._note_response(response)

    def _note_delta(self, is_text: bool) -> None:
        if self.facts["first_token"] < 0:
            self.facts["first_token"] = self._now()
        if is_text:
            self.facts["first_text"] = self._now()
        self._notable = _OUTCOMES if self.facts["first_text"] >= 0 else _OUTCOMES | {_TEXT}

    def answered(self, body: bytes) -> None:
        """The whole answer for a client that does not stream, or an error's body."""
        if self.keep:
            self.events.add(self._clock(), body)
        try:
            answer = loads(body)
        except (ValueError, RecursionError):
            return
        if not isinstance(answer, dict):
            return
        output = answer.get("output")
        for item in output if isinstance(output, list) else ():
            self._note_item(item)
        self._note_response(answer)

    def _note_item(self, item: object) -> None:
        if isinstance(item, dict) and str(item.get("type")).endswith("_call"):
            self.facts["calls"] += 1

    def _note_response(self, response: JsonObject) -> None:
        if isinstance(response.get("status"), str):
            self.facts["status"] = response["status"]
        if isinstance(response.get("usage"), dict):
            self.facts["usage"] = counts(response["usage"])
        error = response.get("error") or response.get("incomplete_details") or {}
        if isinstance(error, dict):
            message = str(error.get("message") or error.get("reason") or "")
            self.facts["error"] = self.redactor.clean_text(message)
            if "status" not in response:
                self.facts["status"] = "failed"

    def note(self) -> None:
        """Bring everything that can be shown up to date."""
        self._compare_prefix()
        self._chunks.flush()
        self.events.flush()
        self._is_noted = True
        price = self._route.card.price if self._route is not None else None
        self.facts["cost"] = cost(self.facts["usage"], price)
        self.facts["ledger"] = [[entry.action, entry.field, entry.why, entry.count] for entry in self._ledger.entries]

    def ended(self, error: str = "") -> None:
        """The turn is over; `error` says how, when the connection ended it."""
        self.facts["ended"] = self._now()
        if self.facts["status"] == "in_progress":
            self.facts["status"] = "cut" if error else "completed"
            self.facts["error"] = self.redactor.clean(error.encode()).decode()
        self.round_ended(error)
        self.events.flush(is_end=True)
        self.note()

    def clean(self, body: bytes) -> bytes:
        """`body` without the turn's secrets."""
        return self.redactor.clean(body)

    def _capture(self) -> StreamCapture:
        return StreamCapture(self._opened, self.redactor.clean)

    def _changed(self) -> None:
        if self._is_noted:
            self._is_noted = False
            if self.on_change is not None:
                self.on_change()

    def _now(self) -> int:
        return max(0, round((self._clock() - self._opened) * 1000))
