"""HTML of the pages, from rows: what is on them, and that nothing in a row becomes an element or an attribute."""

import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from typing import Any

import pytest

from responses_gateway.inspection.archive.rows import Hit, Session, Span, Total, Turn, Values
from responses_gateway.inspection.pages.filtering import Choice
from responses_gateway.inspection.pages.session_view import LISTED, view_of
from responses_gateway.inspection.pages.sessions_view import Row, SessionsView
from responses_gateway.inspection.pages.templating import render, render_part
from responses_gateway.inspection.pages.totals import totals_of
from responses_gateway.inspection.pages.turn_page import PARTS, turn_values
from unit.inspection.pages.rows import NOON, session, turn
from unit.inspection.pages.whole_turns import hostile_turn, reading

ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    "</title></style></textarea></svg><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "]]><!--<iframe src=//evil.example>",
    "&lt;b&gt;&#60;script&#62;",
    "../../?token=x#<a>",
    "\u202egnp.exe\u0000\x1b[31m",
)


class Structure(HTMLParser):
    """Elements and attributes' names, in order, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Any] = []
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))
        self.texts += [value or "" for _, value in attrs]
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", data))


def hostile[T](row: T, words: str, *kept: str) -> T:
    """A row in which every text but `kept` is `words`."""
    texts = [one.name for one in fields(row) if isinstance(getattr(row, one.name), str) and one.name not in kept]  # type: ignore[arg-type]
    return replace(row, **dict.fromkeys(texts, words))  # type: ignore[type-var]


def list_page(words: str) -> str:
    shown = [replace(hostile(one, words), models=[words]) for one in (session(), session(running=1, threads=4))]
    rows = [Row.of(one, NOON) for one in shown]
    hit = Hit(hostile(turn(), words), words, words, words)
    totals = totals_of([Total("2026-11-27", words, 3, 1, 1000, 900, 10, 0.1)])
    choice = Choice(q=words, model=words, client=words)
    view = SessionsView(choice, Values([words], [words]), rows, totals, [hit], has_more=True)
    return render("sessions.html", view=view, now=NOON, version="1", form_key="")


def session_page(words: str) -> str:
    turns = [
        hostile(turn(0), words, "status", "thread", "parent"),
        replace(
            hostile(turn(9, thread="agent"), words, "status", "thread"),
            parent="main",
            spans=[Span(words, words, 1, 2)],
            rounds=2,
            healed=1,
        ),
        hostile(turn(20, status="failed"), words, "status", "thread", "parent"),
        hostile(turn(30, kind="compaction"), words, "status", "thread", "parent", "kind"),
    ]
    shown = replace(hostile(session(), words), models=["m", words])
    view = view_of(shown, turns, NOON + 60)
    return render("session.html", view=view, now=NOON, version="1", form_key="")


def turn_page(words: str) -> str:
    whole = hostile_turn(hostile(turn(), words), words)
    values = [turn_values(reading(), whole, part, None) for part in PARTS]
    return "".join(
        render("turn.html", **{**one, "models": [words], "now": NOON, "version": "1", "form_key": ""}) for one in values
    )


def test_a_page_that_follows_a_turn_gets_its_news_only() -> None:
    whole = hostile_turn(turn(status="in_progress", prefix_changed="messages[0]"), "so they say")
    values = turn_values(reading(), whole, "", None, follows=True) | {"models": [], "form_key": "", "now": NOON}
    html = render_part("turn.html", **values)
    kept = re.findall(r'<div id="(\w+)" data-kept></div>', html)
    assert kept == ["asked", "cache"]
    over = hostile_turn(turn(), "so they say")
    values = turn_values(reading(), over, "", None, follows=True) | {"models": [], "form_key": "", "now": NOON}
    whole_html = render_part("turn.html", **values)
    assert all(f'id="{name}"' in whole_html for name in kept)
    assert "data-kept" not in whole_html
    assert html.count("so they say") < whole_html.count("so they say")


def error_page(words: str) -> str:
    return render("error.html", title=words, text=words, version="1", form_key="")


@pytest.mark.parametrize("page", [list_page, session_page, turn_page, error_page])
@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_text_stays_text(page: Any, attack: str) -> None:
    harmless, attacked = Structure(page("harmless")), Structure(page(attack))
    assert attacked.found == harmless.found
    assert all(address.startswith(("/", "data:,", "#main")) for address in attacked.addresses)
    assert not any(name.startswith("on") for _, names in attacked.found for name in names)


def text_of(html: str) -> str:
    return " ".join(" ".join(Structure(html).texts).split())


def test_what_the_list_says() -> None:
    text = text_of(list_page("harmless"))
    for words in ("harmless", "3 sub-agents", "running", "1 failed", "1 repaired", "$0.0300", "66%"):
        assert words in text


def shown(turns: list[Turn], one: Session | None = None, **options: Any) -> str:
    view = view_of(one or session(), turns, NOON + 600, **options)
    return render_part("session.html", view=view, now=NOON, version="1", form_key="")


def test_what_a_session_says() -> None:
    broken = turn(30, prefix_changed="messages[3].content", prefix_common=120)
    failed = turn(20, title="", status="failed", error="the upstream is overloaded")
    text = text_of(shown([turn(), turn(9, title=""), failed, broken, turn(40, kind="compaction")]))
    for words in (
        "10,000 tokens in (90% cached), 500 out",
        "reasoning: 1.0 s",
        "failed: the upstream is overloaded",
        "The prefix breaks at messages[3].content 12% of the request was sent before",
        "The client compacts its context",
        "The client's own tools 5.0 s",
        "cost so far, $0.0500",
        "shell",
    ):
        assert words in text, words


def test_a_long_session_lists_its_last_turns() -> None:
    turns = [turn(5 * at, number=at) for at in range(LISTED + 20)]
    html = shown(turns)
    assert html.count('class="depth0"') == LISTED
    assert "show the 20 before them" in html
    assert shown(turns, whole=True).count('class="depth0"') == LISTED + 20


def test_another_thread_can_be_looked_at_and_nobodys_is_the_first() -> None:
    turns = [turn(0), turn(9, thread="agent", parent="main", input_tokens=77_000, output_tokens=0)]
    assert "77k tokens" not in shown(turns)
    assert "77k tokens" in shown(turns, thread="agent")
    assert "77k tokens" not in shown(turns, thread="nobody")


def test_prices_that_nobody_knows_are_not_drawn() -> None:
    assert "cost so far" not in shown([turn(cost=None)])
