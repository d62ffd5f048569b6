"""The pages about a real session of Codex, in a real browser: a sub-agent, a repair, a compaction, and a failure.

Pictures of what was seen are kept in `artifacts/`.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from e2e.browser import ARTIFACTS, SIZES, browser, opened_pages
from e2e.codex import LATEST, Codex
from e2e.environment import API_KEY, UPSTREAM_KEY
from e2e.mitmweb import MitmwebProcess
from e2e.test_archive import turns
from e2e.test_codex_agents import PROMPT, SPAWN, family, is_child, wait_for_agent
from e2e.test_codex_long_session import LIMITS
from e2e.test_sessions_pages import read
from responses_gateway.inspection.archive.rows import Turn
from responses_gateway.inspection.pages import routes
from responses_gateway.inspection.pages.waterfall import ROW
from upstream import (
    Gate,
    Request,
    Responder,
    Script,
    ScriptedUpstream,
    call,
    done,
    error,
    finish,
    reply,
    stream,
    text,
    usage,
)

MODEL = "kimi-k2.6"
"""One whose price is known."""

AGAIN = "Are there hidden ones?"
REFUSAL = "The quota of hidden files is used up."
SUMMARY = "SUMMARY: an agent counts the files."
ANSWER = "Three, says the agent."
MOST_CLICKS = 3
WRONG_TYPE = {"cmd": "echo coerced", "yield_time_ms": "1000"}
_OF_THE_MOMENT = re.compile(r'(?<=name="_xsrf" value=")[^"]*|(?<=data-version=")[^"]*|(?<=written on )[^<]*(?= by)')


@dataclass(frozen=True)
class Played:
    """The session, and the mitmweb that shows it."""

    web: MitmwebProcess
    turns: list[Turn]

    @property
    def session(self) -> str:
        return self.turns[0].session

    @property
    def failed(self) -> Turn:
        return next(turn for turn in self.turns if turn.failed)

    @property
    def healed(self) -> Turn:
        return next(turn for turn in self.turns if turn.healed)

    @property
    def compaction(self) -> Turn:
        return next(turn for turn in self.turns if turn.kind == "compaction")

    @property
    def own(self) -> list[Turn]:
        """The turns of the session's own thread."""
        return [turn for turn in self.turns if not turn.parent]

    @property
    def agents(self) -> list[Turn]:
        return [turn for turn in self.turns if turn.parent]


def answers(codex: Codex) -> Responder:
    """The parent calls with arguments of a wrong type, spawns an agent, waits for it, compacts, and answers."""
    healed = reply(reasoning="First a look.", calls=[call("exec_command", WRONG_TYPE)], prompt=9_000, cached=0)
    waits = stretched(wait_for_agent, 50_000)
    parent = family(codex, [healed, SPAWN, waits, reply(text=SUMMARY, prompt=50_000), reply(text=ANSWER, prompt=4_000)])

    def respond(request: Request) -> Responder:
        return error(400, REFUSAL) if AGAIN in str(request.last("user")) and not is_child(request) else parent

    return respond


def stretched(wait: Responder, prompt: int) -> Responder:
    """The call of `wait`, after which the context is that many tokens."""

    def respond(request: Request) -> Responder:
        [name] = [name for name in request.tools if name.endswith("wait_agent")]
        agent = re.search(r'"agent_id": ?"([^"]+)"', request.messages[-1]["content"])
        assert agent is not None
        arguments = {"targets": [agent[1]], "timeout_ms": 60_000}
        return reply(calls=[call(name, arguments, "call_wait")], prompt=prompt, cached=8_000)

    return respond


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """What all tests but the live one look at. The upstream has one model, so that it is the one that can be asked."""
    home = tmp_path_factory.mktemp("played")
    options = {"gateway_api_key_env": "TEST_UPSTREAM_KEY"}
    with (
        ScriptedUpstream() as upstream,
        MitmwebProcess(upstream.url, home, options, environment={"TEST_UPSTREAM_KEY": UPSTREAM_KEY}) as web,
    ):
        script = upstream.script(MODEL)
        codex = Codex(LATEST, web.url, home / "codex")
        codex.configure(LIMITS)
        script.always(answers(codex))
        first = codex.exec(PROMPT, MODEL).succeeded()
        assert first.messages[-1] == ANSWER
        assert codex.exec(AGAIN, MODEL, resume=first.thread_id).exit_code
        yield Played(web, turns(home, len(script.requests)))
        assert not web.faults(), f"the gateway's log has a fault:\n{web.log}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def look(chromium: Browser) -> Iterator[Callable[..., Page]]:
    with opened_pages(chromium) as open_page:
        yield open_page


def picture(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"codex-{name}.png", full_page=True)


def row_of(page: Page, turn: Turn) -> Locator:
    """A turn's row in the table of its session."""
    return page.locator(".turns tbody tr", has=page.locator(f'a[data-key="line {turn.id}"]'))


def bar_of(page: Page, turn: Turn) -> Locator:
    """A turn's bar in the picture of its session."""
    return page.locator(f'.bar-of-turn[data-key="bar {turn.id}"]')


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
def test_the_list_and_the_session(
    played: Played, look: Callable[..., Page], size: tuple[int, int], scheme: str
) -> None:
    page = look(played.web, routes.SESSIONS, size, scheme)
    row = page.locator(".list tbody tr")
    expect(row).to_have_count(1)
    for words in (PROMPT, f"codex_exec {LATEST.version}", "1 sub-agent", MODEL, "1 failed", "1 repaired", "$0.0"):
        expect(row).to_contain_text(words)
    picture(page, f"list-{size[0]}-{scheme}")
    page.get_by_role("link", name=PROMPT).click()
    expect(page.locator(".lane-names text")).to_contain_text(["main", "collab_spawn"])
    expect(page.locator(".bar-of-turn")).to_have_count(len(played.turns))
    expect(page.locator(".context a.compaction")).to_have_count(1)
    expect(page.locator(".bar-of-turn .fault")).to_have_count(1)
    expect(page.locator(".bar-of-turn .mend")).to_have_count(1)
    picture(page, f"session-{size[0]}-{scheme}")


def test_the_sub_agent_is_below_the_turn_that_spawned_it(played: Played, look: Callable[..., Page]) -> None:
    page = look(played.web, routes.session_url(played.session))
    spawner = next(turn for turn in played.own if any(span.name == "spawn_agent" for span in turn.spans))
    names = [span.name for turn in played.own for span in turn.spans if span.name]
    assert names == ["exec_command", "spawn_agent", "wait_agent"]
    top, below = (bar_of(page, turn).bounding_box() for turn in (spawner, played.agents[0]))
    assert top is not None
    assert below is not None
    assert below["y"] > top["y"] + top["height"]
    [line] = page.locator("line.link").all()
    box = line.bounding_box()
    assert box is not None
    assert abs(box["x"] - below["x"]) < 2
    keys = [str(one.get_attribute("data-key")) for one in page.locator(".turns a.words").all()]
    at = keys.index(f"line {spawner.id}")
    assert keys[at + 1 :][: len(played.agents)] == [f"line {turn.id}" for turn in played.agents]
    expect(row_of(page, played.agents[0])).to_contain_text("collab_spawn")


def test_marks_of_what_did_not_go_smoothly(played: Played, look: Callable[..., Page]) -> None:
    page = look(played.web, routes.session_url(played.session))
    for turn, words in (
        (played.healed, "repaired"),
        (played.failed, "failed"),
        (played.compaction, "compaction"),
    ):
        expect(row_of(page, turn)).to_contain_text(words)
    tip = page.locator("#tip")
    for turn, words in ((played.healed, "1 repair"), (played.failed, REFUSAL)):
        bar_of(page, turn).hover()
        expect(tip).to_contain_text(words)
    page.locator(".context a.compaction").focus()
    expect(tip).to_contain_text("The client compacts its context")
    expect(page.locator(".waterfall footer")).to_contain_text("compaction")
    # What Codex wrote to compact is nobody's question.
    words = page.locator("h1, .words bdi:not(.did)").all_text_contents()
    assert set(words) == {PROMPT, "Count the files.", AGAIN}


def test_the_turns(played: Played, look: Callable[..., Page]) -> None:
    page = look(played.web, routes.turn_url(played.session, played.healed.id))
    expect(page.locator("#new-in-turn")).to_be_visible()
    expect(page.locator(".said").first).to_contain_text(PROMPT)
    expect(page.locator("#answer .command")).to_have_text("echo coerced")
    expect(page.locator("#answer .change, section:has(#side-changes) .change").first).to_be_visible()
    expect(page.locator("section", has=page.locator("#side-changes"))).to_contain_text("repaired")
    picture(page, "turn-healed")
    first, *_, last = played.agents
    page = look(played.web, routes.turn_url(played.session, first.id))
    expect(page.locator(".about .tag")).to_contain_text("collab_spawn")
    expect(page.locator(".said").first).to_contain_text("Count the files.")
    page.get_by_role("link", name="2 →").click()
    expect(page).to_have_url(re.compile(last.id))
    expect(page.locator("#answer")).to_contain_text("There are 3 files.")
    page = look(played.web, routes.turn_url(played.session, played.compaction.id))
    expect(page.locator("#answer")).to_contain_text(SUMMARY)
    picture(page, "turn-compaction")
    page = look(played.web, f"{routes.turn_url(played.session, played.failed.id)}?part=streams", SIZES[1])
    expect(page.locator("#live")).to_contain_text("HTTP 400")
    picture(page, "turn-failed-streams-narrow")


def test_turns_around_the_compaction_are_compared(played: Played, look: Callable[..., Page]) -> None:
    page = look(played.web, routes.turn_url(played.session, played.compaction.id))
    page.get_by_role("link", name="Compare with the turn before").click()
    live = page.locator("#live")
    expect(live).to_contain_text("gone exec_command")
    expect(live).to_contain_text("in common")
    expect(live).to_contain_text(SUMMARY)
    picture(page, "compare")


def test_the_session_is_shared(played: Played, chromium: Browser, tmp_path: Path) -> None:
    html = read(played.web, f"{routes.session_url(played.session)}/share")
    file = tmp_path / "shared.html"
    file.write_text(html)
    for secret in (API_KEY, UPSTREAM_KEY, "127.0.0.1"):
        assert secret not in html
    page = chromium.new_page(java_script_enabled=False)
    page.goto(file.as_uri())
    expect(page.locator(".shared-turn")).to_have_count(len(played.turns))
    for words in (PROMPT, "There are 3 files.", SUMMARY, ANSWER, REFUSAL):
        expect(page.locator(".shared")).to_contain_text(words)
    page.close()


class Asker:
    """Somebody who begins at the list, and has few clicks."""

    def __init__(self, page: Page, session: str = PROMPT) -> None:
        self.page = page
        self._clicks = 0
        self._session = session

    def click(self, place: Locator) -> Page:
        self._clicks += 1
        assert self._clicks <= MOST_CLICKS
        place.click()
        return self.page

    def session(self) -> Page:
        return self.click(self.page.get_by_role("link", name=self._session))

    def turn(self, turn: Turn) -> Page:
        self.session()
        return self.click(row_of(self.page, turn).get_by_role("link"))

    def about(self, name: str) -> Locator:
        """A panel at the side of a turn."""
        return self.page.locator("section", has=self.page.locator(f"#side-{name}"))


@pytest.fixture
def asker(played: Played, look: Callable[..., Page]) -> Asker:
    return Asker(look(played.web, routes.SESSIONS))


def test_why_did_this_turn_fail(played: Played, asker: Asker) -> None:
    page = asker.turn(played.failed)
    expect(page.locator(".failure")).to_contain_text(REFUSAL)
    expect(page.locator(".failure")).to_contain_text("HTTP 400")


def test_what_was_sent_upstream(played: Played, asker: Asker) -> None:
    page = asker.turn(played.own[1])
    asker.click(page.get_by_role("link", name="Requests", exact=True))
    sent = page.locator("pre.whole").last
    expect(sent).to_contain_text('"messages"')
    expect(sent).to_contain_text("coerced")
    expect(page.locator("#live")).to_contain_text("/v1/chat/completions")


def test_what_was_lost_or_renamed(played: Played, asker: Asker) -> None:
    asker.turn(played.healed)
    changes = asker.about("changes")
    expect(changes.locator(".action.dropped").first).to_be_visible()
    expect(changes).to_contain_text("yield_time_ms")
    expect(changes.locator(".action.repaired")).to_have_count(1)


def test_where_did_the_time_go(played: Played, asker: Asker) -> None:
    page = asker.session()
    expect(page.locator(".waterfall header .keys")).to_contain_text("the client's own tools")
    asker.click(bar_of(page, played.own[0]))
    expect(asker.about("time")).to_contain_text("gateway")
    expect(asker.about("time").locator("b").first).to_contain_text(re.compile(r"\d+ (ms|s)"))


def test_where_did_the_cache_break_and_why(played: Played, asker: Asker) -> None:
    page = asker.session()
    after = played.own[played.own.index(played.compaction) + 1]
    asker.click(page.locator(f'.context a.broken[data-key="mark {after.id}"] .sign'))
    expect(asker.about("cache")).to_contain_text("The prefix broke at tool_choice")
    expect(asker.about("cache").locator(".added")).to_contain_text(["auto"])


def test_what_did_it_cost(played: Played, asker: Asker) -> None:
    total = sum(turn.cost or 0.0 for turn in played.turns)
    assert total > 0
    shown = asker.page.locator('.list td[data-label="Cost"]')
    expect(shown).to_have_text(f"${total:.4f}")
    page = asker.session()
    expect(page.locator(".figures", has_text="Cost")).to_contain_text(f"${total:.4f}")
    expect(row_of(page, played.compaction).locator('td[data-label="Cost"]')).to_have_text("$0.0160")


def test_saved_flows_give_the_same(played: Played, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    flows = tmp_path / "session.flows"
    played.web.command("save.file", "@all", str(flows))
    home = tmp_path / "another"
    home.mkdir()
    paths = [routes.session_url(played.session), f"{routes.session_url(played.session)}/share"]
    paths += [routes.session_url(played.session, thread=played.agents[0].thread)]
    for turn in played.turns:
        here = routes.turn_url(turn.session, turn.id)
        paths += [here, f"{here}?part=requests", f"{here}?part=streams", f"{here}/compare"]
    with MitmwebProcess(upstream.url, home, arguments=("-r", str(flows))) as web:
        assert [turn.id for turn in turns(home, len(played.turns))] == [turn.id for turn in played.turns]
        for path in paths:
            assert steady(read(web, path)) == steady(read(played.web, path)), path
        for turn in played.turns:
            fixture = f"{routes.turn_url(turn.session, turn.id)}/export/fixture"
            assert json.loads(read(web, fixture)) == json.loads(read(played.web, fixture))


def steady(html: str) -> str:
    """A page without what differs each time that it is made."""
    return _OF_THE_MOMENT.sub("", html)


def test_what_would_another_model_have_said(played: Played, asker: Asker) -> None:
    page = asker.turn(played.own[1])
    asker.click(page.get_by_role("button", name="Ask", exact=True))
    expect(page.locator(".answers .panel")).to_have_count(2)
    expect(page.locator(".answers .panel").last).to_contain_text(ANSWER)


def test_a_sub_agent_is_followed_while_it_runs(
    mitmweb: MitmwebProcess, upstream: ScriptedUpstream, script: Script, look: Callable[..., Page], tmp_path: Path
) -> None:
    gate = Gate()
    codex = Codex(LATEST, mitmweb.url, tmp_path / "codex")
    parent = family(codex, [SPAWN, wait_for_agent, reply(text=ANSWER)])
    child = stream(text("There are"), gate, text(" 3", " files."), finish(), usage(), done())
    script.always(lambda request: child if is_child(request) else parent)
    with codex.start_exec(PROMPT, script.model) as running:
        gate.wait_reached()
        page = look(mitmweb, routes.SESSIONS)
        expect(page.locator(".list")).to_contain_text("running")
        page.get_by_role("link", name=PROMPT).click()
        expect(page.locator(".lane-names text")).to_contain_text(["main", "collab_spawn"])
        runs = page.locator(".bar-of-turn.in_progress")
        expect(runs).to_have_count(1)
        # At one moment, because the page is made anew every second.
        lane, bar = page.evaluate(
            "() => ['.lane-names text:nth-of-type(2)', '.bar-of-turn.in_progress .base']"
            ".map(place => document.querySelector(place).getBoundingClientRect().y)"
        )
        assert abs(bar - lane) < ROW / 2
        picture(page, "running")
        runs.click()
        said = page.locator(".entry.assistant .prose")
        expect(said).to_have_text("There are")
        gate.open()
        expect(said).to_have_text("There are 3 files.")
        expect(page.locator("#live")).to_contain_text("completed")
        assert running.wait_exit(60) == 0
    page.goto(page.url.partition("/turns/")[0])
    expect(page.locator(".dot")).to_have_count(0)
    expect(page.locator("#live")).to_contain_text("fine")
