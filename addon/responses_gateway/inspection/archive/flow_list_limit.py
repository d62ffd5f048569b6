"""Limits mitmweb's flow list: archived flows are removed from it when there are too many."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Protocol
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import flow, http

from responses_gateway.inspection.archive.document import Document
from responses_gateway.inspection.recording.summary import MARKERS

DELAY = 0.2
"""Seconds from the end of a turn until the list is checked, because mitmproxy still works on the flow."""


class View(Protocol):
    """mitmproxy's list of flows."""

    def resolve(self, flow_spec: str) -> Sequence[flow.Flow]: ...

    def remove(self, flows: Sequence[flow.Flow]) -> None: ...


class FlowListLimit:
    """Removes flows of the gateway from mitmweb's list: only those that passed through this process and are over.

    Turns are removed only once they are in the archive. Flows that somebody loaded from a file stay.
    """

    def __init__(self, view: View, count: int, size: int) -> None:
        """At most `count` flows stay, with at most `size` bytes altogether."""
        self._view = view
        self._count = count
        self._size = size
        self._passed: WeakSet[http.HTTPFlow] = WeakSet()
        self._sizes: WeakKeyDictionary[http.HTTPFlow, int] = WeakKeyDictionary()
        self._safe: WeakSet[http.HTTPFlow] = WeakSet()
        self._timer: asyncio.TimerHandle | None = None

    def ended(self, one: http.HTTPFlow, document: Document | None) -> None:
        """A flow that passed here is over; `document` is what it keeps in memory when it is a turn."""
        self._passed.add(one)
        size = document.size if document is not None else 0
        self._sizes[one] = size + len(one.response.raw_content or b"" if one.response else b"")
        if document is None:
            self._safe.add(one)
        self._schedule()

    def archived(self, one: http.HTTPFlow) -> None:
        """A turn is in the archive."""
        self._safe.add(one)
        self._schedule()

    def _schedule(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY, self._look)

    def _look(self) -> None:
        self._timer = None
        for one in self._superfluous():
            # One at a time: the view announces it when several leave at once.
            self._view.remove([one])

    def _superfluous(self) -> Iterator[http.HTTPFlow]:
        """The flows that are too many, in the order in which they came; those that the user marked come last."""
        shown = [one for one in self._view.resolve("@all") if isinstance(one, http.HTTPFlow)]
        ours = [one for one in shown if one.live or one in self._passed]
        count, size = len(ours), sum(self._sizes.get(one, 0) for one in ours)
        for one in sorted(ours, key=_is_held):
            if count <= self._count and size <= self._size:
                return
            if one in self._safe and not one.live:
                count -= 1
                size -= self._sizes.get(one, 0)
                yield one


def _is_held(one: http.HTTPFlow) -> bool:
    """Whether somebody holds on to a flow; the gateway's own markers do not count."""
    return one.intercepted or bool(one.marked and one.marked not in MARKERS)
