"""Which provider keeps a response that it has made: an id says whose it is, as long as it is remembered.

The latest ids are in memory; the store knows them after a restart, and at every gateway that uses it.
"""

from collections import OrderedDict

from responses_gateway.state.storage import Storage
from responses_gateway.state.store import Store, is_name

MAX_IDS = 10_000
"""Ids in memory; the one that was told longest ago goes first."""

_MOST_OWNERS = 16
"""Of one id in memory: a server may give everybody the same."""


class NativeIds:
    """The providers of what upstreams keep, by owner and id. `storage` None: in memory only."""

    def __init__(self, storage: Storage | None) -> None:
        self._storage = storage
        self._recent: OrderedDict[str, dict[str, str]] = OrderedDict()
        """By id, the providers by owner."""

    def remember(self, owner: str, response_id: str, provider: str, *, lasting: bool) -> None:
        """The provider has made this response for the owner. `lasting`: it keeps it for later."""
        if not is_name(_name(response_id)):
            return
        providers = self._recent.pop(response_id, {})
        known = providers.pop(owner, None)
        self._recent[response_id] = {**dict(list(providers.items())[1 - _MOST_OWNERS :]), owner: provider}
        if len(self._recent) > MAX_IDS:
            self._recent.popitem(last=False)
        if lasting and known != provider and self._storage is not None:
            self._storage.keep(lambda store: store.put_note(owner, _name(response_id), provider))

    def provider(self, owner: str, response_id: str, store: Store | None) -> str | None:
        """The name of the provider; None when the owner has no such response, or it is forgotten.

        May wait for the store; raises StoreError.
        """
        known = self._recent.get(response_id, {}).get(owner)
        name = _name(response_id)
        return known if known is not None or store is None or not is_name(name) else store.note(owner, name)

    def is_anothers(self, owner: str, response_id: str, store: Store | None) -> bool:
        """Whether a provider has made it for others only. May wait for the store; raises StoreError."""
        providers = self._recent.get(response_id, {})
        name = _name(response_id)
        if owner in providers or not is_name(name):
            return False
        if store is None:
            return bool(providers)
        return store.is_anothers(owner, name) or (bool(providers) and store.note(owner, name) is None)


def _name(response_id: str) -> str:
    return f"maker of {response_id}"
