"""Which provider made a response that is kept by its provider: an id says whose it is, as long as it is remembered."""

from collections import OrderedDict

MAX_IDS = 10_000
"""Ids of all owners; the one that was not used for longest goes first."""


class NativeIds:
    """The providers of responses that upstreams made themselves, in memory."""

    def __init__(self) -> None:
        self._providers: OrderedDict[tuple[str, str], str] = OrderedDict()

    def remember(self, owner: str, response_id: str, provider: str) -> None:
        """The provider has made this response for the owner."""
        self._providers[owner, response_id] = provider
        self._providers.move_to_end((owner, response_id))
        while len(self._providers) > MAX_IDS:
            self._providers.popitem(last=False)

    def provider(self, owner: str, response_id: str) -> str | None:
        """The name of the provider; None when the owner has no such response, or it is forgotten."""
        return self._providers.get((owner, response_id))
