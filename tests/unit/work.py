"""How the work of a function grows with its input, told by the CPU time of this thread, in proportion only."""

import re
import time
from collections.abc import Callable
from functools import cache
from itertools import pairwise

SIZES = (125, 1_000, 8_000)
GROWTH = 24.0
"""Times as much work for eight times the input: more than linear work and its noise, much less than quadratic (64)."""

_GUARD = 8 * GROWTH
"""The same for the smaller sizes, where bounded windows (`.{0,200}`) are not full yet; it stops what is worse."""

_RUNS = 5
_TRIFLE = 100
"""Times the work of reading the large input once: less than that says nothing about growth."""


def grows_linearly(work: Callable[[int], Callable[[], object]]) -> bool:
    """Whether what `work` prepares for a size costs in proportion to it; the large size is not tried if a smaller one
    has already cost too much."""
    for sizes, growth in zip(pairwise(SIZES), (_GUARD, GROWTH), strict=True):
        once, more = (_cost(work(size), 1) for size in sizes)
        if more > growth * once and more > _trifle():
            once, more = (_cost(work(size), _RUNS) for size in sizes)
            if more > growth * once and more > _trifle():
                return False
    return True


def _cost(work: Callable[[], object], runs: int) -> float:
    costs = []
    for _ in range(runs):
        start = time.thread_time()
        work()
        costs.append(time.thread_time() - start)
    return min(costs)


@cache
def _trifle() -> float:
    text, scan = "b" * SIZES[-1], re.compile("[^a]*+a")
    return _TRIFLE * _cost(lambda: scan.match(text), 50)
