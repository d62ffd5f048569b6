"""Hands finished responses to the store; nothing else does."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import Item
from responses_gateway.security.terminal import get_logger
from responses_gateway.state.items import stored_items
from responses_gateway.state.packing import EventLog, pack
from responses_gateway.state.state import State
from responses_gateway.state.storage import Storage
from responses_gateway.state.store import FINAL, NotStorable, Record, Store, StoreError
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import EnvelopeCodec

logger = get_logger(__name__)


@dataclass
class Recorder:
    """Takes the events of one answer as they are made.

    The client gets the terminal event after `stored` has returned: the response is durable, unless the store failed.
    """

    state: State
    owner: str
    ledger: Ledger
    storage: Storage | None = None
    """Where the response is to be kept; None when it is not."""

    known_owner: bool = False
    """Whether the owner is known by an access key; the others' keys may change from one request to the next."""

    input: bytes = b""
    """The packed items of the request."""

    own: list[JsonObject] = field(default_factory=list)
    before: Sequence[Item] = ()
    """The items of the history that the request continues."""

    conversation: str | None = None
    replay_key: str | None = None
    follow: Callable[[list[JsonObject]], None] | None = None
    """Called with all events; with the terminal one only when the response was stored."""

    def __post_init__(self) -> None:
        self._log = EventLog() if self.storage is not None else None
        self._handed_in: Future[object] | None = None
        self._unfollowed: list[JsonObject] = []

    def envelopes(self, *purpose: str) -> EnvelopeCodec:
        """What makes, and opens, the owner's envelopes for a purpose."""
        return self.state.envelopes(*purpose, owner=self.owner if self.known_owner else "")

    def take(self, events: list[JsonObject], stream: bytes) -> None:
        """Record `events`; `stream` is how they are encoded for the client.

        Raises nothing: the client gets its answer even if it cannot be stored.
        """
        if not events:
            return
        if self._log is not None:
            self._log.add(stream)
        response = events[-1].get("response")
        if response is not None and response["status"] in FINAL:
            self.state.thoughts.learn(self.owner, response["output"])
            if self._log is not None and self.storage is not None:
                self._handed_in = self.storage.keep(self._storing(response, self._log.close()))
        self._unfollowed += events
        if not self.is_storing:
            self._tell()

    @property
    def is_storing(self) -> bool:
        """Whether the response is final, and on its way to the store."""
        return self._handed_in is not None

    async def stored(self) -> None:
        """Return when the response is durable, or cannot be stored."""
        if self._handed_in is not None and self.storage is not None:
            try:
                await self.storage.kept(self._handed_in)
            except StoreError as error:
                self._lose(error)
            except Exception as error:
                logger.exception("a response could not be stored")
                self._lose(error)
        self.let_go()

    def let_go(self) -> None:
        """Do not wait for the store any longer."""
        self._handed_in = None
        self._tell()

    def whole_input(self) -> bytes:
        """All that the request is made of, packed: what `before` and `own` hold."""
        return pack([*stored_items(self.before, _no_id), *self.own])

    def _storing(self, response: JsonObject, events: bytes) -> Callable[[Store], None]:
        key = self.replay_key if response["status"] == "completed" else None
        record = Record(self.owner, response, self.input, events, replay_key=key, whole=self.whole_input)

        def store_it(store: Store) -> None:
            store.put(record)
            if self.conversation is None or response["status"] not in ("completed", "incomplete"):
                return
            if not store.append_items(self.owner, self.conversation, [*self.own, *response["output"]]):
                raise NotStorable(f"the conversation {self.conversation} is gone")

        return store_it

    def _lose(self, error: Exception) -> None:
        self.ledger.add("dropped", "store", f"the response could not be stored: {error}")

    def _tell(self) -> None:
        events, self._unfollowed = self._unfollowed, []
        if events and self.follow is not None:
            self.follow(events)


def _no_id(prefix: str) -> str:
    raise AssertionError("what is stored has an id")
