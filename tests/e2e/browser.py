"""Debian's Chromium under Playwright."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, sync_playwright

from e2e.environment import CACHE, ROOT, exclusive
from e2e.mitmweb import PASSWORD, MitmwebProcess

ARTIFACTS = ROOT / "artifacts"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
NOT_SHIPPED = "/src/css/vendor.less"
"""What the page of mitmweb 12.3 asks for in vain, being the source of a file that it also has."""

SIZES = ((1280, 900), (390, 844))
"""Width and height of the windows that pages are made for."""

PACKAGES = ("chromium", "fonts-dejavu-core", "fonts-noto-color-emoji")


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless browser."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=install(), headless=True, args=FLAGS)
        yield running
        running.close()


@contextmanager
def opened_pages(running: Browser, excused: str | None = None) -> Iterator[Callable[..., Page]]:
    """Opens addresses of a mitmweb's server; nothing may complain, and no page may be wider than its window.

    `excused` is the end of an address of which errors do not matter.
    """
    opened: list[Page] = []
    complaints: list[str] = []

    def console(message: ConsoleMessage) -> None:
        if message.type == "error" and not (excused and str(message.location.get("url")).endswith(excused)):
            complaints.append(message.text)

    def open_page(web: MitmwebProcess, path: str, size: tuple[int, int] = SIZES[0], scheme: Any = "light") -> Page:
        page = running.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        opened.append(page)
        page.on("console", console)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(f"http://127.0.0.1:{web.web_port}{path}{'&' if '?' in path else '?'}token={PASSWORD}")
        return page

    yield open_page
    for page in opened:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
        page.close()
    assert not complaints, complaints


class Screen:
    """One page of mitmweb 12.2 or 12.3, and everything that it complained about."""

    def __init__(self, running: Browser, url: str, width: int = 1500, height: int = 900) -> None:
        self.page: Page = running.new_page(viewport={"width": width, "height": height})
        self.complaints: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def _console(self, message: ConsoleMessage) -> None:
        address = str(message.location.get("url"))
        if message.type == "error" and not address.endswith(NOT_SHIPPED):
            self.complaints.append(f"{message.text} ({address})")

    @property
    def rows(self) -> Locator:
        """The flow list."""
        return self.page.locator(".flow-table tbody tr:has(td)")

    @property
    def view(self) -> Locator:
        """The text of the content view."""
        return self.page.locator(".contentview pre")

    def choose_tab(self, name: str) -> None:
        """Open a tab of the selected flow, such as `Request`."""
        self.page.locator(".nav-tabs-sm a", has_text=name).click()

    def choose_view(self, name: str) -> None:
        """Choose a content view from the menu."""
        self.page.locator(".contentview .controls a", has_text="View:").click()
        self.page.locator(".dropdown-menu:visible").get_by_text(name.lower(), exact=True).click()
        self.page.locator(".contentview h5", has_text=name).wait_for()

    def open_flow(self, index: int) -> None:
        """Select a flow of the list."""
        self.rows.nth(index).click()
        self.page.locator(".flow-detail").wait_for()

    def replay(self) -> None:
        """Press mitmweb's own button for the selected flow."""
        self.page.locator("header nav").get_by_text("Flow", exact=True).click()
        self.page.locator("header button", has_text="Replay").click()

    def edit(self, content: str) -> None:
        """Put `content` in the place of the body that is shown."""
        controls = self.page.locator(".contentview .controls")
        controls.locator("button", has_text="Edit").click()
        self.page.locator(".contentview .cm-content").click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(content)
        controls.locator("button", has_text="Done").click()
        controls.locator("button", has_text="Edit").wait_for()

    def screenshot(self, name: str) -> Path:
        """Keep a picture among the run's artefacts."""
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


def install() -> str:
    """The browser's executable; Debian's package is installed when there is none and we may do that."""
    with exclusive(CACHE / "chromium"):
        found = _find()
        if found is None and shutil.which("apt-get") and os.geteuid() == 0:
            _apt("update")
            _apt("install", "--yes", "--no-install-recommends", *PACKAGES)
            found = _find()
    assert found, "the browser tests need Chromium, for example: sudo apt install chromium"
    return found


def _find() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    ended = subprocess.run(
        ["apt-get", "--quiet", *arguments], env=environment, capture_output=True, text=True, timeout=600
    )
    assert ended.returncode == 0, f"apt-get {arguments[0]} failed:\n{ended.stdout}{ended.stderr}"
