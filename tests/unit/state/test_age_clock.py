"""What is kept grows old with the time that passes, and not with the clock that somebody sets."""

from pathlib import Path

from responses_gateway.state.age_clock import AgeClock
from responses_gateway.state.sqlite import SqliteStore
from responses_gateway.state.store import Limits
from unit.state.records import record

DAY = 86_400.0


class Clocks:
    """A clock that can be set, and one that cannot."""

    def __init__(self) -> None:
        self.wall = 1_000_000.0
        self.steady = 50.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def test_time_that_passes_counts_and_a_clock_that_is_set_forward_does_not() -> None:
    clocks = Clocks()
    ages = AgeClock(lambda: clocks.wall, lambda: clocks.steady)
    clocks.pass_by(10)
    assert ages() == 1_000_010.0
    clocks.wall += 30 * DAY
    assert ages() == 1_000_010.0
    clocks.wall -= 31 * DAY
    assert ages() == 1_000_010.0 - DAY


def test_a_month_ahead_and_back_evicts_nothing(tmp_path: Path) -> None:
    clocks = Clocks()
    ages = AgeClock(lambda: clocks.wall, lambda: clocks.steady)
    store = SqliteStore(tmp_path / "s", Limits(100, 1 << 30, 7 * DAY), lambda: clocks.wall, ages)
    store.put(record("before"))
    clocks.wall += 31 * DAY
    store.put(record("meanwhile"))
    clocks.wall -= 31 * DAY
    store.put(record("after"))
    assert all(store.get("me", name) is not None for name in ("before", "meanwhile", "after"))
    clocks.pass_by(8 * DAY)
    store.put(record("later"))
    assert store.get("me", "before") is None
    store.close()
