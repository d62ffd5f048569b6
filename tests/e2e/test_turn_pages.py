"""The pages about turns in a real browser: what they tell, what they do, and that hostile text stays text."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from e2e.browser import ARTIFACTS, NOT_SHIPPED, SIZES, browser, opened_pages
from e2e.environment import API_KEY
from e2e.mitmweb import PASSWORD, MitmwebProcess
from e2e.test_archive import turns
from e2e.test_sessions_pages import get, read
from e2e.turn_pages import INSTRUCTIONS, ask, asked, converse
from responses_gateway.inspection.pages import routes
from upstream import Gate, Script, ScriptedUpstream, call, done, finish, reasoning, reply, stream, text, usage


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def look(chromium: Browser, mitmweb: MitmwebProcess) -> Iterator[Callable[..., Page]]:
    """mitmweb's own page asks for a file that it does not have."""
    with opened_pages(chromium, NOT_SHIPPED) as open_page:
        yield partial(open_page, mitmweb)


def picture(page: Page, name: str) -> None:
    """Keep a picture among the run's artefacts."""
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)


def test_a_turn_as_people_read_it(
    mitmweb: MitmwebProcess, script: Script, look: Callable[..., Page], tmp_path: Path
) -> None:
    converse(mitmweb, script)
    first, second, third, failed = turns(tmp_path / "mitmweb", 4)
    page = look(routes.turn_url(first.session, first.id))
    expect(page.locator("#item-0")).to_contain_text("Why does the build fail?")
    expect(page.locator(".entry.call .command")).to_have_text("tail build.log")
    expect(page.locator(".entry.reasoning .prose")).to_be_hidden()
    page.locator(".entry.reasoning summary").click()
    expect(page.locator(".entry.reasoning .prose")).to_have_text("The log is the place to begin.")
    page.locator("#tools summary").click()
    expect(page.locator("#tools")).to_contain_text("exec_command(cmd, workdir)")
    page = look(routes.turn_url(second.session, second.id))
    expect(page.locator("#earlier > summary")).to_contain_text("2 items")
    expect(page.locator(".entry.result")).to_contain_text("exec_command")
    expect(page.locator(".entry.result .tag")).to_have_text("exit code 1")
    expect(page.locator(".because .gone")).to_contain_text(["-- Ask when in doubt."])
    page.locator("#earlier summary").click()
    page.get_by_role("link", name="Show the last 2 whole").click()
    expect(page.locator(".entry.old")).to_have_count(2)
    expect(page.locator("#answer .entry.call .patch .added")).to_have_text("+zstd = dependency('libzstd')")
    page = look(routes.turn_url(third.session, third.id))
    expect(page.locator(".entry.result")).to_contain_text("Success. Updated meson.build")
    expect(page.locator("#answer h4")).to_have_text("What is wrong")
    expect(page.locator("#answer td")).to_have_text(["meson.build", "14"])
    expect(page.locator("#answer a")).to_have_attribute("rel", "noreferrer noopener nofollow")
    page = look(routes.turn_url(failed.session, failed.id))
    expect(page.locator(".failure")).to_contain_text("it has no pixels")
    expect(page.locator("#live .said .who").first).to_have_text("user")
    assert page.locator("img.picture").evaluate("image => image.naturalWidth") == 10
    for size in SIZES:
        for scheme in ("light", "dark"):
            for name, turn in (("second", second), ("third", third)):
                picture(look(routes.turn_url(turn.session, turn.id), size, scheme), f"turn-{name}-{size[0]}-{scheme}")
            for part in ("requests", "streams"):
                page = look(f"{routes.turn_url(third.session, third.id)}?part={part}", size, scheme)
                picture(page, f"turn-{part}-{size[0]}-{scheme}")


def clicks_to(page: Page) -> Page:
    """From the list to the page of the turn that broke the prefix: two clicks."""
    page.get_by_role("link", name="Why does the build fail?").click()
    page.locator(".turns tbody tr").nth(1).get_by_role("link").first.click()
    expect(page.locator(".trail")).to_contain_text("Turn 2")
    return page


def test_questions_are_answered_within_three_clicks(
    mitmweb: MitmwebProcess, script: Script, look: Callable[..., Page], tmp_path: Path
) -> None:
    converse(mitmweb, script)
    turns(tmp_path / "mitmweb", 4)
    page = look(routes.SESSIONS)
    page.get_by_role("link", name="Why does the build fail?").click()
    page.locator(".turns tbody tr").nth(3).get_by_role("link").first.click()
    expect(page.locator(".failure")).to_contain_text("Why it failed")
    expect(page.locator(".failure")).to_contain_text("HTTP 400")
    page = clicks_to(look(routes.SESSIONS))
    # What was lost or renamed, where the time went, where the cache broke and because of what, what it cost.
    changes = page.locator("section", has=page.locator("#side-changes"))
    expect(changes).to_contain_text("dropped metadata the upstream is not known to take it")
    expect(page.locator("section", has=page.locator("#side-time"))).to_contain_text("connecting")
    cache = page.locator("section", has=page.locator("#side-cache"))
    expect(cache).to_contain_text("The prefix broke at messages[0].content")
    expect(cache.locator(".added")).to_contain_text(["Never ask."])
    expect(page.locator("section", has=page.locator("#side-tokens"))).to_contain_text("cost")
    page.get_by_role("link", name="Requests", exact=True).click()
    expect(page.locator("pre.whole").last).to_contain_text('"messages"')
    expect(page.locator("tr.dropped")).to_contain_text("metadata")
    page = clicks_to(look(routes.SESSIONS))
    script.answer(reply(text="Ask Meson."))
    page.locator("form", has=page.get_by_role("button", name="Ask", exact=True)).locator("select").select_option(
        script.model
    )
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".answers .panel")).to_have_count(2)
    expect(page.locator(".answers .panel").last).to_contain_text("Ask Meson.")


def test_a_turn_goes_elsewhere(
    mitmweb: MitmwebProcess, script: Script, look: Callable[..., Page], tmp_path: Path, chromium: Browser
) -> None:
    converse(mitmweb, script)
    found = turns(tmp_path / "mitmweb", 4)
    third = found[2]
    here = routes.turn_url(third.session, third.id)
    assert "$GATEWAY_KEY" in read(mitmweb, f"{here}/export/curl-client")
    assert '"rounds":' in read(mitmweb, f"{here}/export/fixture")
    assert get(mitmweb, f"{here}/export/nothing", authorization=f"Bearer {PASSWORD}")[0] == 404
    mitmweb.command("view.flows.remove", "@all")
    assert not mitmweb.flows()
    page = look(here)
    page.get_by_role("button", name="Open in mitmweb").click()
    expect(page.locator(".flow-detail")).to_be_visible()
    assert [flow["id"] for flow in mitmweb.flows()] == [third.flow]
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"http://127.0.0.1:{mitmweb.web_port}{here}")
    page.get_by_role("link", name="Copy as curl").click()
    expect(page.get_by_role("link", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl -N ")


@pytest.mark.parametrize("whole", [False, True])
def test_a_shared_file_needs_nothing(
    mitmweb: MitmwebProcess, script: Script, tmp_path: Path, chromium: Browser, whole: bool
) -> None:
    converse(mitmweb, script)
    failed = turns(tmp_path / "mitmweb", 4)[3]
    of = routes.session_url(failed.session) if whole else routes.turn_url(failed.session, failed.id)
    html = read(mitmweb, f"{of}/share")
    assert API_KEY not in html
    assert "127.0.0.1" not in html
    file = tmp_path / "shared.html"
    file.write_text(html)
    page = chromium.new_page(java_script_enabled=False)
    asked_for: list[str] = []
    page.on("request", lambda request: asked_for.append(request.url))
    page.goto(file.as_uri())
    expect(page.locator(".shared-turn")).to_have_count(4 if whole else 1)
    expect(page.locator(".shared")).to_contain_text("it has no pixels")
    expect(page.locator("img.picture")).to_be_visible()
    assert page.locator("script, link").count() == 0
    assert [url for url in asked_for if not url.startswith("data:")] == [file.as_uri()]
    picture(page, f"shared-{'session' if whole else 'turn'}")
    page.close()


def test_a_running_turn_is_there_with_its_text(
    mitmweb: MitmwebProcess, script: Script, look: Callable[..., Page], tmp_path: Path
) -> None:
    gates = Gate(), Gate()
    script.answer(
        stream(
            reasoning("Let me", " think."),
            text("Once", " upon"),
            gates[0],
            text(" a **time**"),
            gates[1],
            text(" ago."),
            finish(),
            usage(),
            done(),
        )
    )
    connection, answer = ask(mitmweb, {"model": script.model, "input": [asked("Tell me")]}, read=False)
    gates[0].wait_reached()
    page = look(routes.SESSIONS)
    page.get_by_role("link", name="Tell me").click()
    page.locator(".bar-of-turn").click()
    said = page.locator(".entry.assistant .prose")
    expect(said).to_have_text("Once upon")
    expect(page.locator(".entry.assistant")).to_contain_text("streams")
    gates[0].open()
    gates[1].wait_reached()
    expect(said).to_have_text("Once upon a time")
    expect(page.locator("#asked")).to_contain_text("Tell me")
    gates[1].open()
    answer.read()
    connection.close()
    expect(said).to_have_text("Once upon a time ago.")
    expect(page.locator(".dot")).to_have_count(0)
    expect(page.locator("#live")).to_contain_text("completed")


def test_turns_and_sessions_are_compared(
    mitmweb: MitmwebProcess, script: Script, look: Callable[..., Page], tmp_path: Path
) -> None:
    converse(mitmweb, script)
    script.answer(reply(text="Fine."))
    other = {"session-id": "other", "thread-id": "other"}
    ask(mitmweb, {"model": script.model, "instructions": INSTRUCTIONS, "input": [asked("Another")]}, other)
    first, second, *_, last = turns(tmp_path / "mitmweb", 5)
    page = look(routes.turn_url(second.session, second.id))
    page.get_by_role("link", name="Compare with the turn before").click()
    expect(page.locator("#live")).to_contain_text("1 item in common")
    expect(page.locator(".patch .added")).to_contain_text(["+- Never ask.", "+"])
    picture(page, "compare-1280-light")
    page.get_by_placeholder("or the id").fill(page.url.partition("/compare")[0].replace(second.id, last.id))
    page.get_by_role("button", name="Compare").last.click()
    expect(page.locator("#live")).to_contain_text("0 items in common")
    expect(page.locator("#live .action").first).to_be_visible()
    page = look(routes.session_url("main"))
    page.get_by_role("link", name="Compare with another session").click()
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#live")).to_contain_text("Turn by turn")
    expect(page.locator(".compared")).to_contain_text(["Turns", "Another"])
    assert first.id in read(mitmweb, f"{routes.turn_url(second.session, second.id)}/compare")


def test_other_models_are_asked_without_touching_the_session(
    mitmweb: MitmwebProcess, upstream: ScriptedUpstream, script: Script, look: Callable[..., Page], tmp_path: Path
) -> None:
    script.answer(reply(text="Paris."))
    tools = [{"type": "web_search"}, {"type": "function", "name": "shell", "parameters": {"type": "object"}}]
    ask(mitmweb, {"model": script.model, "tools": tools, "input": [asked("The capital of France?")]})
    [turn] = turns(tmp_path / "mitmweb", 1)
    others = upstream.script("other-a"), upstream.script("other-b")
    gates = Gate(), Gate()
    for other, gate, word in zip(others, gates, ("Lyon", "Nice"), strict=True):
        other.answer(
            stream(text(word), gate, text("!"), *call("shell", {"cmd": word}).chunks(0), finish(), usage(), done())
        )
    page = look(f"{routes.turn_url(turn.session, turn.id)}/ask")
    for name in ("other-a", "other-b"):
        page.get_by_placeholder("name of").fill(name)
        page.get_by_role("button", name="Ask", exact=True).click()
    for gate in gates:
        gate.wait_reached()
    answers = page.locator(".answers > .panel")
    expect(answers).to_have_count(3)
    expect(answers.nth(1)).to_contain_text("Lyon")
    expect(answers.nth(2)).to_contain_text("Nice")
    expect(page.locator(".answers .dot")).not_to_have_count(0)
    for gate in gates:
        gate.open()
    expect(page.locator(".answers .dot")).to_have_count(0)
    expect(answers.nth(2)).to_contain_text("Nice!")
    expect(answers.nth(2).locator(".command")).to_have_text("Nice")
    picture(page, "ask-1280-light")
    found = turns(tmp_path / "mitmweb", 3)
    assert [one.kind for one in found] == ["turn", "asked", "asked"]
    assert [one.id for one in found if one.session == turn.session] == [turn.id]
    for other in others:
        assert list(other.requests[0].tools) == ["shell"]
        upstream.forget(other.model)
