"""Figures and times for people. Times are the server's: what a browser is told is a text."""

from datetime import datetime

from responses_gateway.inspection.text import percent, tokens

UNKNOWN = "–"


def count(number: int) -> str:
    """Such as `12,345`."""
    return f"{number:,}"


def tokens_of(number: int) -> str:
    """Such as `9,120`, `41k`, `1.2M`."""
    return count(number) if number < 10_000 else tokens(number)


def share(part: float, whole: float) -> str:
    """Such as `97%`; rounded down, so that only a whole is 100 %."""
    return percent(part / whole) if whole else UNKNOWN


def money(dollars: float | None) -> str:
    """US dollars with as many digits as tell something; `–` when the price is not known."""
    if dollars is None:
        return UNKNOWN
    if 0 < dollars < 0.0001:
        return "<$0.0001"
    return f"${dollars:,.2f}" if dollars >= 1 or not dollars else f"${dollars:.{3 if dollars >= 0.1 else 4}f}"


def duration(seconds: float) -> str:
    """Such as `340 ms`, `8.4 s`, `3 min 20 s`, `2 h 5 min`; `–` for a negative one, which is not known."""
    if seconds < 0:
        return UNKNOWN
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def clock(when: float) -> str:
    """Such as `14:03:07`. A time that no calendar has is `–`, here and below: files may say anything."""
    time = _time(when)
    return time.strftime("%H:%M:%S") if time else UNKNOWN


def moment(when: float, now: float) -> str:
    """Such as `14:03` for today, `27 Nov 14:03` for this year, `27 Nov 2025 14:03`."""
    time, today = _time(when), _time(now)
    if time is None or today is None:
        return UNKNOWN
    if time.date() == today.date():
        return time.strftime("%H:%M")
    return f"{time.day} {time:%b %H:%M}" if time.year == today.year else f"{time.day} {time:%b %Y %H:%M}"


def exactly(when: float) -> str:
    """ISO 8601 with the server's offset from UTC, to the second."""
    time = _time(when)
    return time.isoformat(" ", "seconds") if time else UNKNOWN


def _time(when: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(when).astimezone()
    except (OverflowError, ValueError, OSError):
        return None
