"""Updates running flows in the flow list, as often as that costs little."""

import asyncio
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

from mitmproxy import http

INTERVAL = 0.25
"""Seconds between two rounds of updates."""

PATIENCE = 5.0
"""Seconds after which a change is shown, however much that costs."""

SHARE = 0.02
"""The share of this process's CPU time that may go into updates; mitmweb hashes both bodies of a flow at each one."""

_SAVINGS = 0.02
"""Seconds of CPU time that may be saved up."""


class Updates:
    """The flows that have changed; `show` is called with each of them, soon."""

    def __init__(self, show: Callable[[http.HTTPFlow], None]) -> None:
        self._show = show
        self._changed: WeakKeyDictionary[http.HTTPFlow, float] = WeakKeyDictionary()
        self._timer: asyncio.TimerHandle | None = None
        self._cpu = 0.0
        self._budget = 0.0

    def add(self, flow: http.HTTPFlow) -> None:
        """`flow` has changed."""
        self._changed.setdefault(flow, time.monotonic())
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._run)

    def discard(self, flow: http.HTTPFlow) -> None:
        """`flow` is shown by other means."""
        self._changed.pop(flow, None)

    def _run(self) -> None:
        self._timer = None
        started = time.thread_time()
        self._budget = min(_SAVINGS, self._budget + SHARE * (started - self._cpu))
        due = time.monotonic() - PATIENCE
        for flow, since in sorted(self._changed.items(), key=lambda change: change[1]):
            if self._budget <= 0 and since > due:
                break
            del self._changed[flow]
            self._show(flow)
            ended = time.thread_time()
            self._budget = max(0.0, self._budget - (ended - started))
            started = ended
        self._cpu = time.thread_time()
        if self._changed:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._run)
