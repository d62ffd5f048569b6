"""Remembers which upstreams fail: clients that repeat their request get an answer soon, and learn since when."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from responses_gateway.upstream.routing import Route

FRESH = 15.0
"""Seconds behind a turn that failed in which the next one is not retried here: the client retries already."""

_REMEMBERED = 256
"""Outages that are remembered; the one that nobody asked for longest goes first."""


@dataclass(slots=True)
class _Outage:
    since: float
    latest: float


class Outages:
    """The outages of all upstreams, by base URL and model; they say nothing about who met them."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` is in seconds, of any clock that only goes forward."""
        self._now = now
        self._outages: OrderedDict[tuple[str, str], _Outage] = OrderedDict()

    def is_fresh(self, route: Route) -> bool:
        """Whether a turn has failed there a moment ago."""
        outage = self._outages.get(_key(route))
        return outage is not None and self._now() - outage.latest < FRESH

    def failed(self, route: Route, began: float) -> float | None:
        """A turn, which was `began` then, has failed there; for how many seconds turns do so, or None for the first."""
        key, now = _key(route), self._now()
        known = self._outages.pop(key, None)
        self._outages[key] = _Outage(known.since if known else began, now)
        while len(self._outages) > _REMEMBERED:
            self._outages.popitem(last=False)
        return None if known is None else now - known.since

    def answered(self, route: Route) -> None:
        """The upstream has answered."""
        if self._outages:
            self._outages.pop(_key(route), None)


def _key(route: Route) -> tuple[str, str]:
    return route.base_url, route.model
