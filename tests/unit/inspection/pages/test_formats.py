"""Figures and times for people."""

import pytest

from responses_gateway.inspection.pages import formats, routes


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[
            (-1, "–"),
            (0, "0 ms"),
            (0.34, "340 ms"),
            (8.44, "8.4 s"),
            (59.99, "60.0 s"),
            (60, "1 min"),
            (200, "3 min 20 s"),
        ],
        *[(3600, "1 h"), (7500, "2 h 5 min"), (200_000, "2 d 7 h")],
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        (None, "–"),
        (0.0, "$0.00"),
        (0.00001, "<$0.0001"),
        (0.0123, "$0.0123"),
        (0.1234, "$0.123"),
        (1234.5, "$1,234.50"),
    ],
)
def test_money(dollars: float | None, text: str) -> None:
    assert formats.money(dollars) == text


def test_shares_and_tokens() -> None:
    assert (formats.share(0, 0), formats.share(999, 1000), formats.share(5, 5)) == ("–", "99%", "100%")
    assert [formats.tokens_of(number) for number in (0, 9999, 41_000, 1_200_000)] == ["0", "9,999", "41k", "1.2M"]


def test_moments_say_no_more_than_they_need() -> None:
    now = 1_800_000_000.0
    assert formats.moment(now, now).count(":") == 1
    assert " " not in formats.moment(now, now)
    assert len(formats.moment(now - 86_400, now).split()) == 3
    assert len(formats.moment(now - 400 * 86_400, now).split()) == 4


def test_times_of_a_file_that_means_harm() -> None:
    for when in (1e300, -1e300, float("inf"), float("nan")):
        assert {formats.clock(when), formats.moment(when, 1.0), formats.exactly(when)} == {"–"}


def test_addresses_quote_what_clients_call_things() -> None:
    assert routes.turn_url('a/b?"<', "x y") == "/sessions/a%2Fb%3F%22%3C/turns/x%20y"
    assert routes.sessions_url(q="a&b", model="", page=None, failed=False) == "/sessions?q=a%26b"
    assert routes.session_url("s", zoom=2) == "/sessions/s?zoom=2"
