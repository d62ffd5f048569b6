"""The clock by which what is kept grows old."""

import time
from collections.abc import Callable


class AgeClock:
    """Gives seconds since the epoch. What was set forward since this began does not count: it would age everything."""

    def __init__(self, clock: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steady = steady
        self._difference = clock() - steady()

    def __call__(self) -> float:
        return min(self._clock(), self._steady() + self._difference)
