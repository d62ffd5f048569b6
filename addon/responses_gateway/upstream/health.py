"""The health of upstreams: one that keeps failing rests, so that nobody waits for an answer that will not come.

After its rest an upstream gets one request as a probe. If that fails too, it rests for longer.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

FAULTS = 5
"""Rounds in a row that fail before an upstream rests."""

PERIOD = 5.5
"""Seconds that these last at least: a short restart of an upstream is waited for."""

MUTE_FAULTS = 2
"""The same for rounds in which an upstream let a time limit pass, which took long enough."""

LONGEST_REST = 120.0
"""Seconds. Each rest is twice as long as the one before it."""

FORGOTTEN_AFTER = 300.0
"""Seconds after a fault: what comes later is not one of the same row."""

PROBE_PATIENCE = 60.0
"""Seconds until another request may be the probe, when the one that was has not ended."""

MAX_UPSTREAMS = 256
"""Failing upstreams that are remembered; the one that failed longest ago goes first."""


class UpstreamKey(NamedTuple):
    """What fails. Models of one host fail by themselves, and a client's own key may be why."""

    owner: str
    base_url: str
    model: str


class Rest(NamedTuple):
    """An upstream gets no requests. Times are in seconds."""

    message: str
    """How it failed last."""

    faults: int
    since: float
    """How long ago the first fault of the row was."""

    remaining: float


@dataclass(slots=True)
class _Failing:
    """A row of faults; times as of `now`."""

    first: float
    last: float = 0.0
    faults: int = 0
    mute: int = 0
    message: str = ""
    rest: float = 0.0
    """How long the latest rest is; 0 before the first one."""

    until: float = 0.0
    probed: float | None = None
    """When the probe began, behind a rest."""


class UpstreamHealth:
    """Remembers faults. `first_rest` is in seconds, 0: no upstream ever rests; `now` gives seconds of any clock."""

    def __init__(self, first_rest: float, now: Callable[[], float]) -> None:
        self._first_rest = first_rest
        self._now = now
        self._failing: OrderedDict[UpstreamKey, _Failing] = OrderedDict()

    def resting(self, key: UpstreamKey) -> Rest | None:
        """The rest of an upstream; None when it may be asked. The first who may after a rest is the probe."""
        failing = self._failing.get(key)
        if failing is None or not failing.rest:
            return None
        now = self._now()
        if now >= failing.until and (failing.probed is None or now - failing.probed >= PROBE_PATIENCE):
            failing.probed = now
            return None
        return self._rest(failing)

    def failed(self, key: UpstreamKey, message: str, *, mute: bool = False) -> Rest | None:
        """Note a fault; the upstream's rest if it rests from now on. `mute`: it let a time limit pass."""
        now = self._now()
        failing = self._failing.pop(key, None)
        if failing is None or now - failing.last > max(FORGOTTEN_AFTER, failing.rest):
            failing = _Failing(now)
        self._failing[key] = failing
        if len(self._failing) > MAX_UPSTREAMS:
            self._failing.popitem(last=False)
        failing.last, failing.message = now, message
        failing.faults += 1
        failing.mute += mute
        if failing.rest and now < failing.until:
            return self._rest(failing)
        lasts = failing.faults >= FAULTS and now - failing.first >= PERIOD
        if lasts or failing.mute >= MUTE_FAULTS or failing.rest:
            self._begin_rest(failing, now)
        return self._rest(failing) if failing.rest else None

    def replaced(self, key: UpstreamKey) -> None:
        """Another upstream took over after a fault: let this one rest."""
        failing = self._failing.get(key)
        if failing is not None and not failing.rest:
            self._begin_rest(failing, self._now())

    def worked(self, key: UpstreamKey) -> None:
        """The upstream answers."""
        if self._failing:
            self._failing.pop(key, None)

    def faults(self, key: UpstreamKey) -> int:
        """How many rounds in a row have failed."""
        failing = self._failing.get(key)
        return failing.faults if failing is not None else 0

    def _begin_rest(self, failing: _Failing, now: float) -> None:
        failing.rest = min(failing.rest * 2 or self._first_rest, LONGEST_REST)
        failing.until = now + failing.rest
        failing.probed = None

    def _rest(self, failing: _Failing) -> Rest:
        now = self._now()
        return Rest(failing.message, failing.faults, now - failing.first, max(0.0, failing.until - now))
