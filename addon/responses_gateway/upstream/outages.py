"""Outages: upstreams that fail one request after the other, since when, and how often.

They are kept in memory, by owner: what an upstream said to one client's request is told to no other.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

LASTING = 3
"""Failures in a row, from which on a request is not repeated for clients that do so themselves."""

MAX_AGE = 600.0
"""Seconds after the last failure until an outage is forgotten."""

_MAX_OUTAGES = 256
"""The one whose last failure is oldest goes first."""


@dataclass(slots=True)
class Outage:
    """Times are seconds since the epoch."""

    since: float
    last: float
    failures: int

    def told(self, message: str, base_url: str) -> str:
        """The message of the last failure, with which upstream that is and since when it fails."""
        since = time.strftime("%H:%M:%S", time.localtime(self.since))
        times = f", {self.failures} times in a row" if self.failures > 1 else ""
        return f"{message.rstrip('. ')}. {base_url} has failed since {since}{times}."


class Outages:
    """The outages by owner and base URL. `clock` tells seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._outages: OrderedDict[tuple[str, str], Outage] = OrderedDict()

    def failed(self, owner: str, base_url: str) -> Outage:
        """Note one more request that failed."""
        now = self._clock()
        outage = self._outages.pop((owner, base_url), None)
        if outage is None or now - outage.last > MAX_AGE:
            outage = Outage(now, now, 0)
        outage.last = now
        outage.failures += 1
        self._outages[owner, base_url] = outage
        while len(self._outages) > _MAX_OUTAGES:
            self._outages.popitem(last=False)
        return outage

    def lasts(self, owner: str, base_url: str) -> bool:
        """Whether the upstream has failed so often that asking it again at once is no use."""
        outage = self._outages.get((owner, base_url))
        return outage is not None and outage.failures >= LASTING

    def answered(self, owner: str, base_url: str) -> None:
        """The upstream is there again, if it was not."""
        self._outages.pop((owner, base_url), None)
