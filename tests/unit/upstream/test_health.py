"""When an upstream rests, and for how long."""

import pytest

from responses_gateway.upstream.health import (
    FAULTS,
    FORGOTTEN_AFTER,
    LONGEST_REST,
    MAX_UPSTREAMS,
    MUTE_FAULTS,
    PERIOD,
    PROBE_PATIENCE,
    UpstreamHealth,
    UpstreamKey,
)

ONE = UpstreamKey("owner", "https://up/v1", "m")
FIRST_REST = 10.0


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> UpstreamHealth:
    return UpstreamHealth(FIRST_REST, clock)


def let_rest(health: UpstreamHealth, clock: Clock) -> None:
    for _ in range(FAULTS):
        assert health.resting(ONE) is None
        clock.time += PERIOD / (FAULTS - 1)
        rest = health.failed(ONE, "busy")
    assert rest is not None


def test_an_upstream_that_keeps_failing_rests_and_says_why(health: UpstreamHealth, clock: Clock) -> None:
    let_rest(health, clock)
    clock.time += 1
    rest = health.resting(ONE)
    assert rest == ("busy", FAULTS, PERIOD + 1, FIRST_REST - 1)
    assert health.faults(ONE) == FAULTS


def test_many_faults_at_once_are_no_reason(health: UpstreamHealth, clock: Clock) -> None:
    """A hundred streams may meet the same short restart."""
    for _ in range(100):
        assert health.failed(ONE, "busy") is None
    clock.time += PERIOD - 0.1
    assert health.failed(ONE, "busy") is None
    assert health.resting(ONE) is None


def test_few_faults_over_a_long_time_are_no_reason(health: UpstreamHealth, clock: Clock) -> None:
    for _ in range(FAULTS - 1):
        assert health.failed(ONE, "busy") is None
        clock.time += PERIOD


def test_a_success_ends_the_row(health: UpstreamHealth, clock: Clock) -> None:
    let_rest(health, clock)
    health.worked(ONE)
    assert health.resting(ONE) is None
    assert health.faults(ONE) == 0
    assert health.failed(ONE, "busy") is None


def test_an_old_row_is_forgotten(health: UpstreamHealth, clock: Clock) -> None:
    for _ in range(FAULTS - 1):
        health.failed(ONE, "busy")
    clock.time += FORGOTTEN_AFTER + 1
    assert health.failed(ONE, "busy") is None
    assert health.faults(ONE) == 1


def test_silence_costs_so_much_that_it_counts_for_more(health: UpstreamHealth, clock: Clock) -> None:
    for _ in range(MUTE_FAULTS - 1):
        assert health.failed(ONE, "silence", mute=True) is None
    assert health.failed(ONE, "silence", mute=True) is not None


def test_one_request_probes_and_a_failing_probe_doubles_the_rest(health: UpstreamHealth, clock: Clock) -> None:
    let_rest(health, clock)
    expected = FIRST_REST
    while expected < LONGEST_REST:
        rest = health.resting(ONE)
        assert rest is not None
        assert rest.remaining == expected
        clock.time += expected
        assert health.resting(ONE) is None, "the probe"
        waiting = health.resting(ONE)
        assert waiting is not None, "all others"
        assert waiting.remaining == 0
        expected = min(2 * expected, LONGEST_REST)
        assert health.failed(ONE, "still busy") is not None
    rest = health.resting(ONE)
    assert rest is not None
    assert (rest.message, rest.remaining) == ("still busy", LONGEST_REST)


def test_a_probe_that_works_ends_the_rest(health: UpstreamHealth, clock: Clock) -> None:
    let_rest(health, clock)
    clock.time += FIRST_REST
    assert health.resting(ONE) is None
    health.worked(ONE)
    assert [health.resting(ONE), health.resting(ONE)] == [None, None]


def test_a_probe_that_does_not_end_is_followed_by_another(health: UpstreamHealth, clock: Clock) -> None:
    let_rest(health, clock)
    clock.time += FIRST_REST
    assert health.resting(ONE) is None
    clock.time += PROBE_PATIENCE - 1
    assert health.resting(ONE) is not None
    clock.time += 1
    assert health.resting(ONE) is None


def test_late_faults_of_running_requests_do_not_prolong_a_rest(health: UpstreamHealth, clock: Clock) -> None:
    let_rest(health, clock)
    clock.time += 1
    rest = health.failed(ONE, "late")
    assert rest is not None
    assert rest.remaining == FIRST_REST - 1


def test_a_replaced_upstream_rests_at_once(health: UpstreamHealth, clock: Clock) -> None:
    health.replaced(ONE)
    assert health.resting(ONE) is None, "it did not fail"
    health.failed(ONE, "busy")
    health.replaced(ONE)
    rest = health.resting(ONE)
    assert rest is not None
    assert rest.remaining == FIRST_REST
    clock.time += 1
    health.replaced(ONE)
    rest = health.resting(ONE)
    assert rest is not None
    assert rest.remaining == FIRST_REST - 1


@pytest.mark.parametrize("other", [ONE._replace(owner="x"), ONE._replace(base_url="x"), ONE._replace(model="x")])
def test_upstreams_fail_for_themselves(health: UpstreamHealth, clock: Clock, other: UpstreamKey) -> None:
    let_rest(health, clock)
    assert health.resting(other) is None
    health.worked(other)
    assert health.resting(ONE) is not None


def test_rests_can_be_switched_off(clock: Clock) -> None:
    health = UpstreamHealth(0, clock)
    for _ in range(3 * FAULTS):
        assert health.failed(ONE, "busy", mute=True) is None
        clock.time += PERIOD
    health.replaced(ONE)
    assert health.resting(ONE) is None


def test_what_is_remembered_is_bounded(health: UpstreamHealth) -> None:
    for number in range(MAX_UPSTREAMS + 1):
        health.failed(ONE._replace(model=str(number)), "busy")
    assert [health.faults(ONE._replace(model=str(number))) for number in (0, 1, MAX_UPSTREAMS)] == [0, 1, 1]
