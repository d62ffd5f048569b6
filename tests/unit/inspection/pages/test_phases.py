"""What a turn's time went into."""

import pytest

from responses_gateway.inspection.archive.rows import Span
from responses_gateway.inspection.pages.phases import Phase, end_of, phases_of, runs_tools, up_to_date
from unit.inspection.pages.rows import NOON, turn


def test_the_phases_of_a_turn() -> None:
    assert phases_of(turn(), NOON) == [
        Phase("gateway", 0, 10),
        Phase("connect", 10, 300),
        Phase("waiting", 300, 1000),
        Phase("reasoning", 1000, 2000),
        Phase("text", 2000, 3000),
        Phase("calls", 3000, 3900),
        Phase("waiting", 3900, 4000),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"sent": -1, "answered": -1, "first_byte": -1, "first_token": -1, "spans": []},
        {"answered": 3500, "rounds": 2},
        {"spans": [Span("message", "", 50, -1), Span("message", "", 40, 9999)]},
        {"ended": 5, "spans": [Span("custom_tool_call", "", 7000, 6000)]},
        {"sent": 5000, "ended": 0},
        {"ended": -1, "status": "cut", "spans": []},
    ],
)
def test_phases_follow_each_other_to_the_end_whatever_the_times_say(changes: dict[str, object]) -> None:
    one = turn(**changes)
    phases = phases_of(one, NOON + 10)
    assert [phase.start for phase in phases] == [0, *(phase.end for phase in phases)][: len(phases)]
    assert all(phase.start < phase.end for phase in phases)
    assert sum(phase.end - phase.start for phase in phases) == end_of(one, NOON + 10)


def test_a_turn_that_runs_is_as_long_as_until_now() -> None:
    running = turn(status="in_progress", ended=-1, spans=[], first_byte=-1, first_token=-1, first_text=-1)
    facts = {
        "opened": NOON,
        "first_byte": 310,
        "first_token": 800,
        "first_text": 900,
        "calls": 0,
        "status": "in_progress",
    }
    known = up_to_date(running, {"flow": {**facts, "error": ""}})
    assert phases_of(known, NOON + 2)[-2:] == [Phase("reasoning", 800, 900), Phase("text", 900, 2000)]
    assert up_to_date(running, {"flow": {**facts, "opened": NOON - 1}}) is running
    assert up_to_date(turn(), {"flow": facts}) == turn()


def test_tools_run_when_a_turn_called_and_nobody_spoke() -> None:
    assert runs_tools(turn(calls=1), turn(9, title=""))
    assert not runs_tools(turn(calls=1), turn(9, title="and now?"))
    assert not runs_tools(turn(calls=0), turn(9, title=""))
