"""A conversation that is kept here while a target answers that knows nothing of it."""

from collections.abc import Sequence
from concurrent.futures import Future

from responses_gateway.protocol.json import JsonObject
from responses_gateway.security.terminal import get_logger
from responses_gateway.state.storage import Storage
from responses_gateway.state.store import Store, StoreError, is_name
from responses_gateway.translate.answer.items import NewId
from responses_gateway.translate.ledger import Ledger

logger = get_logger(__name__)


class ContinuedConversation:
    """Gets the items of one turn, when its answer has come."""

    def __init__(
        self,
        storage: Storage,
        owner: str,
        conversation_id: str,
        before: Sequence[JsonObject],
        own: Sequence[JsonObject],
        new_id: NewId,
    ) -> None:
        """`before` is what the conversation holds, `own` are the request's items as they are stored."""
        self._storage = storage
        self._owner = owner
        self._id = conversation_id
        self._own = own
        self._taken = {item["id"] for item in (*before, *own)}
        self._new_id = new_id
        self._handed_in: Future[object] | None = None

    def add(self, response: JsonObject, output: Sequence[JsonObject], ledger: Ledger) -> None:
        """Hand in the request's items and the answer's for the end of the conversation, if the answer is one."""
        if self._handed_in is not None or response.get("status") not in ("completed", "incomplete"):
            return
        items = [*self._own, *({**item, "id": self._free_id(item)} for item in output)]
        self._handed_in = self._storage.keep(lambda store: self._append(store, items, ledger))

    async def stored(self, ledger: Ledger) -> None:
        """Return when the conversation is durable, or cannot be stored."""
        if self._handed_in is not None:
            try:
                await self._storage.kept(self._handed_in)
            except StoreError as error:
                ledger.add("dropped", "conversation", f"the turn could not be stored: {error}")
            except Exception as error:
                logger.exception("a conversation could not be continued")
                ledger.add("dropped", "conversation", f"the turn could not be stored: {error}")

    def _append(self, store: Store, items: Sequence[JsonObject], ledger: Ledger) -> None:
        if not store.append_items(self._owner, self._id, items):
            ledger.add("dropped", "conversation", f"the conversation {self._id} is gone")

    def _free_id(self, item: JsonObject) -> str:
        """The item's own id, unless it has none or another item has it: servers may number the items of each answer."""
        item_id = item.get("id")
        if not isinstance(item_id, str) or not item_id or not is_name(item_id) or item_id in self._taken:
            item_id = self._new_id("item")
        self._taken.add(item_id)
        return item_id
