"""The one place where finished responses are handed to the store."""

from collections.abc import Callable
from dataclasses import dataclass, field

from responses_gateway.ledger import Ledger
from responses_gateway.protocol.json import JsonObject
from responses_gateway.state.packing import EventLog
from responses_gateway.state.state import State
from responses_gateway.state.store import FINAL, Record, StoreError
from responses_gateway.terminal import get_logger
from responses_gateway.translate.reasoning import Seal

logger = get_logger(__name__)


@dataclass
class Recorder:
    """Takes the events of one answer as they are made. The response is durable before its terminal event is sent."""

    state: State
    owner: str
    ledger: Ledger
    stores: bool
    """Whether the response is to be kept."""

    known_owner: bool = False
    """Whether the owner is known by an access key; the others' keys may change from one request to the next."""

    input: bytes = b""
    """The packed items of the request."""

    own: list[JsonObject] = field(default_factory=list)
    conversation: str | None = None
    replay_key: str | None = None
    follow: Callable[[list[JsonObject]], None] | None = None
    """Told of all events, after the response was stored."""

    def __post_init__(self) -> None:
        self._log = EventLog() if self.stores else None

    def seal(self, *purpose: str) -> Seal:
        """What makes, and opens, the owner's envelopes for a purpose."""
        return self.state.seal(*purpose, owner=self.owner if self.known_owner else "")

    def take(self, events: list[JsonObject], stream: bytes) -> None:
        """`stream` is what the events are for the client.

        Raises nothing: a response that cannot be stored is still an answer.
        """
        if not events:
            return
        if self._log is not None:
            self._log.add(stream)
        response = events[-1].get("response")
        if response is not None and response["status"] in FINAL:
            self.state.thoughts.learn(self.owner, response["output"])
            if self._log is not None:
                self._store(response, self._log.close())
        if self.follow is not None:
            self.follow(events)

    def _store(self, response: JsonObject, events: bytes) -> None:
        store = self.state.store
        if store is None:
            return
        key = self.replay_key if response["status"] == "completed" else None
        record = Record(self.owner, response, self.input, events, replay_key=key)
        try:
            store.put(record)
            if self.conversation is not None and response["status"] in ("completed", "incomplete"):
                store.append_items(self.owner, self.conversation, [*self.own, *response["output"]])
        except StoreError as error:
            logger.error("The response %s is not stored: %s", record.id, error)
            self.ledger.add("dropped", "store", f"the response could not be stored: {error}")
