"""Limits the memory that the request bodies of all connections take together."""

from weakref import WeakKeyDictionary

from mitmproxy import http


class RequestBodyMemory:
    """Counts the bytes of the request bodies that live flows hold."""

    def __init__(self) -> None:
        self._sizes: WeakKeyDictionary[http.HTTPFlow, int] = WeakKeyDictionary()
        self._total = 0

    def reserve(self, flow: http.HTTPFlow, size: int, limit: int) -> bool:
        """Count `size` more bytes of a flow's body; False when that would be more than `limit` bytes altogether."""
        if self._total + size > limit:
            self._count_live()
            if self._total + size > limit:
                return False
        self._sizes[flow] = self._sizes.get(flow, 0) + size
        self._total += size
        return True

    def _count_live(self) -> None:
        """Drop flows that have ended. No hook tells of all ends, so flows are asked, and only when memory is short."""
        self._sizes = WeakKeyDictionary({flow: size for flow, size in self._sizes.items() if flow.live})
        self._total = sum(self._sizes.values())
