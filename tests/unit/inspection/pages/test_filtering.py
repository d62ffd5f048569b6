"""What somebody chose in the filter."""

from datetime import datetime

from responses_gateway.inspection.archive.rows import Filter
from responses_gateway.inspection.pages.filtering import Choice


def chosen(**query: str) -> Choice:
    return Choice.of(lambda name: query.get(name, ""))


def test_nothing_chosen_is_everything() -> None:
    assert chosen().filter == Filter()
    assert not chosen().is_narrow
    assert chosen().page == 1


def test_days_are_whole_days_of_the_servers_time() -> None:
    which = chosen(since="2026-11-27", until="2026-11-27").filter
    assert which.since == datetime(2026, 11, 27).timestamp()
    assert which.until == datetime(2026, 11, 28).timestamp()


def test_what_is_no_day_or_page_does_not_count() -> None:
    choice = chosen(since="yesterday", until="9999-99-99", page="-3")
    assert (choice.since, choice.until, choice.page) == ("", "", 1)
    assert chosen(page="٣").page == 1
    assert chosen(since="0001-01-01").filter.since is None


def test_links_keep_what_was_chosen() -> None:
    choice = chosen(q="a b", model="m", client="c", since="2026-11-27", failed="1", healed="on", page="2")
    query = choice.query(3)
    assert chosen(**{name: str(value) for name, value in query.items()}) == chosen(
        q="a b", model="m", client="c", since="2026-11-27", failed="1", healed="1", page="3"
    )
    assert choice.is_narrow
