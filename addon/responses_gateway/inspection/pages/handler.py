"""What every page builds on: mitmweb's authentication, strict headers, and templates."""

import gzip
import time
from collections.abc import Callable
from typing import Any

from markupsafe import Markup
from mitmproxy.tools.web.app import RequestHandler
from tornado.web import HTTPError

from responses_gateway.inspection.archive.file import ArchiveError
from responses_gateway.inspection.pages.source import NotThereError, Reading, Source
from responses_gateway.inspection.pages.templating import ASSETS, render, render_part

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
VERSION = "X-Version"
"""Header of a part of a page: which state it shows."""

PAUSE = "X-Pause"
"""Header of a part of a page: milliseconds after which to ask for the next one."""

_SHORTEST_PAUSE = 900
_SHARE = 0.03
"""Of one processor's time that a page which follows a running session may take: streams pass at the same time."""

_LEVEL = 1
"""Of gzip: it runs in the thread that makes the page; mitmweb's server would do it on the event loop."""

_REASONS = {404: "There is no such page, session or turn.", 403: "This is for whoever has mitmweb's token."}


class Guarded(RequestHandler):
    """Answers nobody without mitmweb's token or cookie: mitmweb's class wraps each method of a subclass."""

    def set_default_headers(self) -> None:
        RequestHandler.set_default_headers(self)
        self.set_header("Content-Security-Policy", _POLICY)
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")


class Page(Guarded):
    """A page of HTML. A subclass defines `get`, which calls `show`."""

    def initialize(self, source: Source) -> None:
        self.source = source

    def auth_fail(self, invalid_password: bool) -> None:
        """Ask for the token, as mitmweb does."""
        self._finish(render("login.html", is_wrong=invalid_password, form_key=self._form_key()))

    def post(self, *_: str) -> None:
        """The form of `auth_fail` was sent, with the right token."""
        self.redirect(self.request.path, status=303)

    async def show(self, template: str, view: Callable[[Reading], dict[str, Any]]) -> None:
        """Answer with a page, or with its block `live` when the script asks what is new.

        `view` gives the values for the template; it is called in a thread. It raises NotThereError. A value `version`
        stands for the state that it shows, instead of the archive's.
        """
        known = self.get_query_argument("fragment", None)
        version = self.source.version()
        if known is not None and known == version:
            self.set_status(204)
            return
        packs = "gzip" in self.request.headers.get("Accept-Encoding", "")
        values = {"form_key": self._form_key(), "version": version}

        def make(reading: Reading) -> tuple[bytes, int, str]:
            began = time.thread_time()
            given = {**values, **view(reading), "now": reading.now}
            html = render(template, **given) if known is None else render_part(template, **given)
            body = html.encode("utf-8", "replace")
            took = 1000 * (time.thread_time() - began)
            return gzip.compress(body, _LEVEL) if packs else body, round(took / _SHARE), given["version"]

        try:
            body, pause, version = await self.source.read(make)
        except NotThereError:
            raise HTTPError(404) from None
        except ArchiveError as error:
            self.set_status(503)
            self._finish(render("error.html", title="Nothing to show", text=str(error), **values))
            return
        self.set_header(VERSION, version)
        self.set_header(PAUSE, str(max(_SHORTEST_PAUSE, pause)))
        if packs:
            self.set_header("Content-Encoding", "gzip")
        self._finish(body)

    def write_error(self, status_code: int, **_: Any) -> None:
        """A page that says what went wrong, without saying more than a stranger may know."""
        text = _REASONS.get(status_code, "The page cannot be made; the gateway's log says why.")
        self._finish(render("error.html", title=str(status_code), text=text, form_key="", version=""))

    def _form_key(self) -> Markup:
        """The hidden field that every form needs which is sent with POST."""
        return Markup(self.xsrf_form_html())  # noqa: S704 (tornado made it)

    def _finish(self, html: str | bytes) -> None:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(html)


class Asset(Guarded):
    """The style sheet and the script."""

    def get(self, name: str) -> None:
        if name not in ASSETS:
            raise HTTPError(404)
        body, kind = ASSETS[name]
        self.set_header("Content-Type", kind)
        self.set_header("Cache-Control", "private, max-age=31536000, immutable")
        self.finish(body)
