"""What can be done with a turn: look at it in mitmweb, and take it elsewhere."""

from collections.abc import Awaitable, Callable
from typing import Any

from tornado.web import HTTPError

from responses_gateway.inspection.archive.file import ArchiveError
from responses_gateway.inspection.export import FORMATS
from responses_gateway.inspection.pages.handler import Page
from responses_gateway.inspection.pages.routes import flow_url
from responses_gateway.inspection.pages.source import NotThereError, Reading, Source
from responses_gateway.inspection.pages.turn_page import whole_turn

type BringBack = Callable[[str], Awaitable[Any]]
"""Puts a turn into mitmweb's list, by its id. Raises ArchiveError."""


class OpenInMitmweb(Page):
    """`/sessions/ID/turns/TURN/open`: puts the turn into mitmweb's list, and goes there."""

    def initialize(self, source: Source, bring_back: BringBack) -> None:  # type: ignore[override]
        super().initialize(source)
        self._bring_back = bring_back

    async def post(self, session: str, turn: str) -> None:  # type: ignore[override]
        try:
            flow = await self.source.read(lambda reading: whole_turn(reading, session, turn).turn.flow)
            await self._bring_back(turn)
        except NotThereError:
            raise HTTPError(404) from None
        except ArchiveError:
            raise HTTPError(409) from None
        self.redirect(flow_url(flow), status=303)


class Export(Page):
    """`/sessions/ID/turns/TURN/export/FORMAT`: the turn as text, for a terminal or a test."""

    async def get(self, session: str, turn: str, name: str) -> None:
        if name not in FORMATS:
            raise HTTPError(404)

        def make(reading: Reading) -> bytes:
            return FORMATS[name]([whole_turn(reading, session, turn).record]).encode("utf-8", "replace")

        try:
            body = await self.source.read(make)
        except NotThereError:
            raise HTTPError(404) from None
        except ArchiveError:
            raise HTTPError(503) from None
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(body)
