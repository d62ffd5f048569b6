"""The pages about sessions in a real browser: with a sub-agent, live, by keyboard, and full of hostile text."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from e2e.browser import ARTIFACTS, SIZES, browser, opened_pages
from e2e.mitmweb import MitmwebProcess
from e2e.test_archive import turns
from e2e.turn_pages import ask, asked
from responses_gateway.inspection.pages import routes
from upstream import Gate, Script, call, done, finish, reasoning, stream, text, usage

TOOL = {"type": "function", "name": "shell", "parameters": {"type": "object", "properties": {"cmd": {}}}}
AGENT = {"x-codex-parent-thread-id": "main", "x-openai-subagent": "review", "thread-id": "reviewer"}
ATTACK = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>\"'></svg>"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def look(chromium: Browser, mitmweb: MitmwebProcess) -> Iterator[Callable[..., Page]]:
    with opened_pages(chromium) as open_page:
        yield partial(open_page, mitmweb)


def converse(web: MitmwebProcess, script: Script) -> None:
    """Three turns: one that calls, one of a sub-agent, and the rest of the first."""
    script.answer(
        stream(
            reasoning("I should", " look."),
            call("shell", {"cmd": "ls"}).chunks(0),
            finish("tool_calls"),
            usage(prompt=9000, completion=80, cached=0),
            done(),
        ),
        stream(text("It is", " fine."), finish(), usage(prompt=3000, completion=20, cached=0), done()),
        stream(text("All", " done."), finish(), usage(prompt=9500, completion=30, cached=8192), done()),
    )
    question = asked("Why does the build fail?")
    ask(web, {"model": script.model, "tools": [TOOL], "input": [question]})
    ask(web, {"model": script.model, "input": [asked("Review the change")]}, AGENT)
    called = {"type": "function_call", "name": "shell", "call_id": "call_1", "arguments": '{"cmd": "ls"}'}
    result = {"type": "function_call_output", "call_id": "call_1", "output": "README.md"}
    ask(web, {"model": script.model, "tools": [TOOL], "input": [question, called, result]})


def test_from_the_list_to_a_turn(
    mitmweb: MitmwebProcess, script: Script, look: Callable[..., Page], tmp_path: Path
) -> None:
    converse(mitmweb, script)
    turns(tmp_path / "mitmweb", 3)
    ARTIFACTS.mkdir(exist_ok=True)
    for size in SIZES:
        for scheme in ("light", "dark"):
            page = look(routes.SESSIONS, size, scheme)
            assert "token" not in page.url
            expect(page.locator(".list")).to_contain_text("1 sub-agent")
            page.screenshot(path=ARTIFACTS / f"sessions-{size[0]}-{scheme}.png")
            page.get_by_role("link", name="Why does the build fail?").click()
            expect(page.locator(".lane-names text")).to_contain_text(["main", "review"])
            expect(page.locator(".bar-of-turn")).to_have_count(3)
            expect(page.locator(".link")).to_have_count(1)
            page.locator(".bar-of-turn").first.hover()
            expect(page.locator("#tip")).to_contain_text("9,000 tokens in (0% cached), 80 out")
            page.screenshot(path=ARTIFACTS / f"session-{size[0]}-{scheme}.png")
            page.locator(".bar-of-turn").first.click()
            expect(page.locator("h1")).to_have_text("Why does the build fail?")


def test_search_and_filters(mitmweb: MitmwebProcess, script: Script, look: Callable[..., Page], tmp_path: Path) -> None:
    converse(mitmweb, script)
    turns(tmp_path / "mitmweb", 3)
    page = look(routes.SESSIONS)
    page.keyboard.press("/")
    page.keyboard.type("readme")
    page.keyboard.press("Enter")
    expect(page.locator("mark")).to_have_text("README")
    page.get_by_label("failed").check()
    expect(page.locator(".empty")).to_contain_text("No turn that is kept matches")
    page.get_by_role("link", name="Clear").click()
    page.get_by_label("Client").select_option("codex_exec")
    expect(page).to_have_url(re.compile("client=codex_exec"))
    page.locator("#totals summary").click()
    expect(page.locator("#totals")).to_contain_text("22k")
    expect(page.locator("#totals .columns g")).to_have_count(1)


def test_pages_follow_what_happens(mitmweb: MitmwebProcess, script: Script, look: Callable[..., Page]) -> None:
    page = look(routes.SESSIONS)
    expect(page.locator(".empty")).to_be_visible()
    gate = Gate()
    script.answer(stream(text("Once", " upon"), gate, text(" a time."), finish(), usage(), done()))
    connection, answer = ask(mitmweb, {"model": script.model, "input": [asked("Tell me")]}, read=False)
    gate.wait_reached()
    expect(page.locator(".list")).to_contain_text("running")
    page.get_by_role("link", name="Tell me").click()
    expect(page.locator(".bar-of-turn.in_progress .text")).to_have_count(1)
    page.locator(".bar-of-turn").focus()
    tip = page.locator("#tip")
    expect(tip).to_contain_text("Runs for")
    gate.open()
    answer.read()
    connection.close()
    expect(page.locator(".bar-of-turn.completed")).to_have_count(1)
    expect(page.locator(".bar-of-turn")).to_be_focused()
    expect(tip).to_contain_text("Took")
    expect(page.locator(".dot")).to_have_count(0)


def test_the_keyboard_goes_everywhere(
    mitmweb: MitmwebProcess, script: Script, look: Callable[..., Page], tmp_path: Path
) -> None:
    converse(mitmweb, script)
    turns(tmp_path / "mitmweb", 3)
    page = look(routes.session_url("main"))
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator(".bar-of-turn").first.focus()
    for key, at in (("ArrowRight", 1), ("End", 2), ("ArrowLeft", 1), ("Home", 0)):
        page.keyboard.press(key)
        expect(page.locator(".bar-of-turn").nth(at)).to_be_focused()
    expect(page.locator("#tip")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#tip")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/turns/"))


def test_hostile_text_stays_text(
    mitmweb: MitmwebProcess, upstream: Any, look: Callable[..., Page], tmp_path: Path
) -> None:
    script: Script = upstream.script(ATTACK)
    script.answer(
        stream(
            reasoning(ATTACK),
            text(ATTACK),
            call("shell", {"cmd": ATTACK}).chunks(0),
            finish("tool_calls"),
            usage(prompt=9000, completion=80),
            done(),
        )
    )
    headers = dict.fromkeys(("user-agent", "session-id", "thread-id", "x-openai-subagent"), ATTACK)
    ask(mitmweb, {"model": ATTACK, "tools": [{**TOOL, "description": ATTACK}], "input": [asked(ATTACK)]}, headers)
    [turn] = turns(tmp_path / "mitmweb", 1)
    assert turn.session == turn.model == ATTACK
    for path in (
        routes.sessions_url(q="onerror"),
        routes.sessions_url(model=ATTACK, client=ATTACK),
        routes.sessions_url(q=ATTACK),
        routes.session_url(turn.session, thread=ATTACK),
        routes.turn_url(turn.session, turn.id),
    ):
        page = look(path)
        for mark in page.locator("#live [data-tip]").all():
            mark.dispatch_event("mouseover", {"bubbles": True})
        expect(page.locator("main")).to_contain_text("onerror")
        assert page.title() != "pwned"
        assert page.locator("img, script:not([src]), iframe, [onerror], [onload]").count() == 0
    upstream.forget(ATTACK)
