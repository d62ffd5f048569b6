"""Serves one session."""

from typing import Any

from responses_gateway.inspection.pages.handler import Page
from responses_gateway.inspection.pages.session_view import ZOOMS, session_view
from responses_gateway.inspection.pages.source import Reading


class SessionPage(Page):
    """`/sessions/ID`."""

    async def get(self, session: str) -> None:
        zoom = self.get_query_argument("zoom", "1")
        options: dict[str, Any] = {
            "thread": self.get_query_argument("thread", ""),
            "zoom": int(zoom) if zoom in map(str, ZOOMS) else 1,
            "whole": bool(self.get_query_argument("all", "")),
        }

        def view(reading: Reading) -> dict[str, Any]:
            return {"view": session_view(reading.archive, session, reading.running, reading.now, **options)}

        await self.show("session.html", view)
