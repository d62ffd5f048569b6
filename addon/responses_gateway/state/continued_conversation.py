"""A conversation that is kept here while a target answers that knows nothing of it."""

from collections.abc import Sequence
from concurrent.futures import Future

from responses_gateway.protocol.json import JsonObject
from responses_gateway.state.storage import Storage
from responses_gateway.state.store import Store, StoreError
from responses_gateway.translate.answer.items import NewId
from responses_gateway.translate.ledger import Ledger


class ContinuedConversation:
    """Gets the items of one turn, when its answer has come."""

    def __init__(
        self, storage: Storage, owner: str, conversation_id: str, own: Sequence[JsonObject], new_id: NewId
    ) -> None:
        """`own` are the request's items as they are stored."""
        self._storage = storage
        self._owner = owner
        self._id = conversation_id
        self._own = own
        self._new_id = new_id
        self._handed_in: Future[object] | None = None

    def add(self, response: JsonObject, output: Sequence[JsonObject], ledger: Ledger) -> None:
        """Hand in the request's items and the answer's for the end of the conversation, if the answer is one."""
        if self._handed_in is not None or response.get("status") not in ("completed", "incomplete"):
            return
        items = [*self._own, *({**item, "id": self._id_of(item)} for item in output)]
        self._handed_in = self._storage.keep(lambda store: self._append(store, items, ledger))

    async def stored(self, ledger: Ledger) -> None:
        """Return when the conversation is durable, or cannot be stored."""
        if self._handed_in is not None:
            try:
                await self._storage.kept(self._handed_in)
            except StoreError as error:
                ledger.add("dropped", "conversation", f"the turn could not be stored: {error}")

    def _append(self, store: Store, items: Sequence[JsonObject], ledger: Ledger) -> None:
        if not store.append_items(self._owner, self._id, items):
            ledger.add("dropped", "conversation", f"the conversation {self._id} is gone")

    def _id_of(self, item: JsonObject) -> str:
        item_id = item.get("id")
        return item_id if isinstance(item_id, str) and item_id else self._new_id("item")
