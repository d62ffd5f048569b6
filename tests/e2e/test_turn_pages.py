"""The page of one turn in a real browser: what it tells, what it does, and that hostile text stays text."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from e2e.browser import ARTIFACTS, browser
from e2e.mitmweb import PASSWORD, MitmwebProcess
from e2e.test_archive import turns
from e2e.turn_pages import ask, asked, converse
from responses_gateway.inspection.pages import routes
from upstream import Gate, Script, done, finish, stream, text, usage

SIZES = ((1280, 900), (390, 844))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def look(chromium: Browser, mitmweb: MitmwebProcess) -> Iterator[Callable[..., Page]]:
    """Opens an address of mitmweb's server; nothing may complain, and no page may be wider than its window."""
    opened: list[Page] = []
    complaints: list[str] = []

    def open_page(path: str, size: tuple[int, int] = SIZES[0], scheme: Any = "light") -> Page:
        page = chromium.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        opened.append(page)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(f"http://127.0.0.1:{mitmweb.web_port}{path}{'&' if '?' in path else '?'}token={PASSWORD}")
        return page

    yield open_page
    for page in opened:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
        page.close()
    assert not complaints


def test_a_turn_as_people_read_it(
    mitmweb: MitmwebProcess, script: Script, look: Callable[..., Page], tmp_path: Path
) -> None:
    converse(mitmweb, script)
    first, second, third, failed = turns(tmp_path / "mitmweb", 4)
    ARTIFACTS.mkdir(exist_ok=True)
    for size in SIZES:
        for scheme in ("light", "dark"):
            for name, turn in (("first", first), ("second", second), ("third", third), ("failed", failed)):
                page = look(routes.turn_url(turn.session, turn.id), size, scheme)
                page.screenshot(path=ARTIFACTS / f"turn-{name}-{size[0]}-{scheme}.png", full_page=True)
            for part in ("requests", "streams"):
                page = look(f"{routes.turn_url(third.session, third.id)}?part={part}", size, scheme)
                page.screenshot(path=ARTIFACTS / f"turn-{part}-{size[0]}-{scheme}.png", full_page=True)
