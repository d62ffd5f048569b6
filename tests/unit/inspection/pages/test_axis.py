"""The time axis."""

import pytest

from responses_gateway.inspection.pages.axis import TICKS, Axis
from unit.inspection.pages.rows import NOON


def test_places_are_in_proportion() -> None:
    axis = Axis([(NOON, NOON + 4), (NOON + 6, NOON + 10)])
    assert [axis.at(NOON + at) for at in (0, 5, 10)] == pytest.approx([0, 50, 100])
    assert (axis.at(NOON - 1), axis.at(NOON + 11), axis.breaks) == (0, 100, [])


def test_idle_hours_take_little_room() -> None:
    axis = Axis([(NOON, NOON + 50), (NOON + 7250, NOON + 7300)])
    [gap] = axis.breaks
    assert gap.seconds == 7200
    assert gap.width == pytest.approx(100 * 10 / 110)
    assert axis.at(NOON + 7250) == pytest.approx(100 * 60 / 110)


def test_times_that_overlap_or_take_no_time() -> None:
    axis = Axis([(NOON, NOON + 10), (NOON + 2, NOON + 3), (NOON + 5, NOON + 20)])
    assert axis.at(NOON + 10) == pytest.approx(50)
    assert Axis([(NOON, NOON)]).at(NOON) == 0


@pytest.mark.parametrize("length", [0.5, 7, 100, 5000, 90_000, 10_000_000, 1e15])
def test_ticks_are_round_and_not_too_many(length: float) -> None:
    ticks = Axis([(NOON, NOON + length)]).ticks()
    assert len(ticks) <= TICKS + 1
    assert len(ticks) >= 3 or length < 1
    assert all(tick.when == int(tick.when) for tick in ticks)
    assert [tick.x for tick in ticks] == sorted(tick.x for tick in ticks)
