"""Serves the list of sessions."""

from typing import Any

from responses_gateway.inspection.pages.handler import Page
from responses_gateway.inspection.pages.source import Reading


class SessionsPage(Page):
    """`/sessions`."""

    async def get(self) -> None:
        await self.show("sessions.html", _view)


def _view(reading: Reading) -> dict[str, Any]:
    return {"sessions": reading.archive.sessions()}
